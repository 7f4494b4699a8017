// The smallest relay that socket.io can be: rooms, signals to one, chat to all.
import { createServer } from 'node:http';
import { Server } from 'socket.io';

const http = createServer();
const io = new Server(http, { transports: ['websocket'], perMessageDeflate: false, maxHttpBufferSize: 65536 });
io.on('connection', (socket) => {
  socket.on('join', (room, reply) => {
    socket.data.room = room;
    const peers = [...(io.sockets.adapter.rooms.get(room) ?? [])];
    socket.join(room);
    socket.to(room).emit('peer-joined', socket.id);
    reply({ id: socket.id, peers });
  });
  socket.on('signal', (to, data) => socket.to(to).emit('signal', socket.id, data));
  socket.on('chat', (data) => socket.to(socket.data.room).emit('chat', socket.id, data));
  socket.on('disconnecting', () => socket.data.room && socket.to(socket.data.room).emit('peer-left', socket.id));
});
http.listen(Number(process.argv[2]), '127.0.0.1');
