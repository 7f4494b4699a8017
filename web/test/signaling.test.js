import assert from 'node:assert/strict';
import { test } from 'node:test';
import { reconnectDelay } from '../src/protocol/backoff.js';
import { SignalingClient } from '../src/protocol/signaling.js';
import { FakeClock } from '../testing/random.js';

class FakeSocket {
  /** @type {any[]} */ frames = [];
  closed = false;
  /** @type {any} */ onopen = null;
  /** @type {any} */ onmessage = null;
  /** @type {any} */ onclose = null;

  /** @param {string} text */
  send(text) {
    this.frames.push(JSON.parse(text));
  }

  close() {
    this.closed = true;
  }

  /** @param {object | string} frame */
  receive(frame) {
    this.onmessage({ data: typeof frame === 'string' ? frame : JSON.stringify(frame) });
  }
}

function client({ random = 1 } = {}) {
  const clock = new FakeClock();
  /** @type {FakeSocket[]} */ const sockets = [];
  /** @type {any[]} */ const messages = [];
  /** @type {string[]} */ const states = [];
  const signaling = new SignalingClient({
    connect: () => {
      const socket = new FakeSocket();
      sockets.push(socket);
      return socket;
    },
    hello: () => ({ type: 'hello', room: 'r', name: 'Mina' }),
    onMessage: (message) => messages.push(message),
    onState: (state, refusal) => states.push(refusal ? `${state} ${refusal}` : state),
    clock,
    random: () => random,
  });
  const enter = () => {
    const socket = sockets[sockets.length - 1];
    socket.onopen();
    socket.receive(welcome);
    return socket;
  };
  return { signaling, clock, sockets, messages, states, enter };
}

const welcome = {
  type: 'welcome', peer: 'me', ticket: 't', resumed: false, received: 0, ice_servers: [],
  room: { name: 'r', locked: false, capacity: 16, peers: [] },
};

test('hello comes first, then ids count from one', () => {
  const { signaling, enter, states } = client();
  assert.equal(signaling.send({ type: 'chat', text: 'too early' }), false);
  signaling.connect();
  const socket = enter();
  assert.equal(signaling.send({ type: 'chat', text: 'a' }), true);
  assert.equal(signaling.send({ type: 'update', name: 'b' }), true);
  assert.deepEqual(socket.frames, [
    { type: 'hello', room: 'r', name: 'Mina' },
    { type: 'chat', text: 'a', id: 1 },
    { type: 'update', name: 'b', id: 2 },
  ]);
  assert.deepEqual(states, ['connecting', 'open']);
});

test('what carries a seq is acknowledged, a burst with one frame', () => {
  const { signaling, clock, enter } = client();
  signaling.connect();
  const socket = enter();
  for (const seq of [1, 2, 3]) socket.receive({ type: 'peer_left', seq, peer: `p${seq}`, reason: 'bye' });
  clock.advance(100);
  assert.deepEqual(socket.frames.slice(1), [{ type: 'ack', seq: 3 }]);
});

test('repeated messages are dropped but acknowledged again', () => {
  const { signaling, clock, messages, enter } = client();
  signaling.connect();
  const socket = enter();
  socket.receive({ type: 'chat', seq: 1, from: 'p', id: 7, text: 'x' });
  clock.advance(100);
  socket.receive({ type: 'chat', seq: 1, from: 'p', id: 7, text: 'x' });
  clock.advance(100);
  // The same message under a new seq: sent again by its author.
  socket.receive({ type: 'chat', seq: 2, from: 'p', id: 7, text: 'x' });
  socket.receive({ type: 'chat', seq: 3, from: 'q', id: 7, text: 'y' });
  clock.advance(100);
  assert.deepEqual(messages.slice(1).map(({ from, id }) => [from, id]), [['p', 7], ['q', 7]]);
  assert.deepEqual(socket.frames.slice(1), [1, 1, 3].map((seq) => ({ type: 'ack', seq })));
});

test('frames that make no sense change nothing', () => {
  const { signaling, messages, states, enter } = client();
  signaling.connect();
  const socket = enter();
  for (const frame of ['{', 'null', '[]', '"x"', '{"type":1}', '{}']) socket.receive(frame);
  assert.equal(messages.length, 1);
  assert.equal(states.at(-1), 'open');
});

test('it reconnects with doubling waits and starts over with the welcome', () => {
  const { signaling, clock, sockets, enter, states } = client();
  signaling.connect();
  enter();
  signaling.send({ type: 'chat', text: 'a' });
  const waits = [];
  for (let attempt = 0; attempt < 7; attempt += 1) {
    sockets[sockets.length - 1].onclose({ code: 1006 });
    assert.equal(signaling.send({ type: 'chat', text: 'lost' }), false);
    waits.push(clock.pending[0]);
    clock.advance(clock.pending[0]);
  }
  assert.deepEqual(waits, [250, 500, 1000, 2000, 4000, 5000, 5000]);
  const socket = enter();
  signaling.send({ type: 'chat', text: 'b' });
  assert.deepEqual(socket.frames.at(-1), { type: 'chat', text: 'b', id: 1 });
  assert.equal(states.at(-1), 'open');
  socket.onclose({ code: 1006 });
  assert.deepEqual(clock.pending, [250], 'waits are short again');
});

test('jitter takes between nothing and half of the wait', () => {
  assert.equal(reconnectDelay(0, 0), 125);
  assert.equal(reconnectDelay(0, 1), 250);
  assert.equal(reconnectDelay(10_000, 0), 2500);
});

test('a refusal that will not change is final', () => {
  for (const [code, reason] of /** @type {const} */ ([[4431, 'room_full'], [4423, 'room_locked'], [4403, 'forbidden'], [4409, 'replaced']])) {
    const { signaling, clock, sockets, states } = client();
    signaling.connect();
    sockets[0].onopen();
    sockets[0].receive({ type: 'error', code: reason, message: 'no' });
    sockets[0].onclose({ code });
    assert.equal(states.at(-1), `closed ${reason}`);
    assert.deepEqual(clock.pending, []);
  }
});

test('a refusal is told by the close code alone too', () => {
  const { signaling, sockets, states } = client();
  signaling.connect();
  sockets[0].onclose({ code: 4431 });
  assert.equal(states.at(-1), 'closed room_full');
});

test('the server chooses when to come back', () => {
  const { signaling, clock, sockets, enter } = client();
  signaling.connect();
  enter().receive({ type: 'goaway', reason: 'shutdown', resume_in_ms: 1234 });
  sockets[0].onclose({ code: 4503 });
  assert.deepEqual(clock.pending, [1234]);
});

test('connect does not wait, and closes nothing that is open', () => {
  const { signaling, clock, sockets, enter } = client();
  signaling.connect();
  sockets[0].onclose({ code: 1006 });
  signaling.connect();
  assert.equal(sockets.length, 2);
  assert.deepEqual(clock.pending, []);
  enter();
  signaling.connect();
  assert.equal(sockets.length, 2);
});

test('bye leaves at once and for good', () => {
  const { signaling, clock, sockets, enter, states } = client();
  signaling.connect();
  const socket = enter();
  signaling.bye();
  assert.deepEqual(socket.frames.at(-1), { type: 'bye' });
  assert.equal(socket.closed, true);
  socket.onclose({ code: 1000 });
  clock.advance(60_000);
  assert.equal(sockets.length, 1);
  assert.equal(states.at(-1), 'closed');
});
