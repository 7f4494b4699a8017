import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SignalingClient } from '../src/protocol/signaling.js';
import { FakeClock } from '../testing/random.js';
import { FakeSocket } from '../testing/socket.js';

// What the golden conversations (conversations.test.js) do not say.

/** @param {{random?: number, session?: import('../src/protocol/signaling.js').Session}} [options] */
function client({ random = 1, session } = {}) {
  const clock = new FakeClock();
  /** @type {FakeSocket[]} */ const sockets = [];
  /** @type {any[]} */ const messages = [];
  /** @type {any[]} */ const outcomes = [];
  /** @type {string[]} */ const states = [];
  /** @type {unknown[]} */ const sessions = [];
  const signaling = new SignalingClient({
    connect: () => {
      const socket = new FakeSocket();
      sockets.push(socket);
      return socket;
    },
    hello: { type: 'hello', room: 'r', name: 'Mina' },
    onMessage: (message) => messages.push(message),
    onOutcome: (outcome) => outcomes.push(outcome),
    onState: (state, { refusal }) => states.push(refusal ? `${state} ${refusal}` : state),
    clock,
    random: () => random,
    session,
    onSession: (next) => sessions.push(next),
  });
  const enter = () => {
    const socket = sockets[sockets.length - 1];
    socket.onopen();
    socket.receive(welcome);
    return socket;
  };
  return { signaling, clock, sockets, messages, outcomes, states, sessions, enter };
}

const welcome = {
  type: 'welcome', peer: 'me', ticket: 't', resumed: false, received: 0, resume_window_s: 60, ice_servers: [],
  room: { name: 'r', locked: false, capacity: 16, peers: [] },
};

test('hello comes first, then ids count from one, with what was sent before there was a room', () => {
  const { signaling, enter, states } = client();
  signaling.send({ type: 'chat', text: 'early' });
  signaling.connect();
  const socket = enter();
  assert.equal(signaling.send({ type: 'chat', text: 'a' }), 2);
  assert.deepEqual(socket.frames, [
    { type: 'hello', room: 'r', name: 'Mina' },
    { type: 'chat', text: 'early', id: 1 },
    { type: 'chat', text: 'a', id: 2 },
  ]);
  assert.deepEqual(states, ['connecting', 'open']);
});

test('what is sent into a connection that is ending goes over the next one', () => {
  const { signaling, clock, sockets, enter } = client();
  signaling.connect();
  const socket = enter();
  const told = socket.frames.length;
  socket.readyState = 2;
  socket.receive({ type: 'peer_left', seq: 1, peer: 'p', reason: 'bye' });
  assert.equal(signaling.send({ type: 'chat', text: 'a' }), 1);
  clock.advance(100);
  assert.equal(socket.frames.length, told);
  socket.onclose({ code: 1006 });
  clock.advance(250);
  assert.equal(sockets.length, 2);
  sockets[1].onopen();
  sockets[1].receive({ ...welcome, resumed: true });
  assert.deepEqual(sockets[1].frames.slice(1), [{ type: 'chat', text: 'a', id: 1 }]);
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

test('what waits is bounded, and what has its outcome makes room', () => {
  const { signaling, outcomes, enter } = client();
  signaling.connect();
  const socket = enter();
  const text = 'x'.repeat(60_000);
  let taken = 0;
  while (signaling.send({ type: 'chat', text }) !== null) taken += 1;
  assert.equal(taken, 17);
  socket.receive({ type: 'delivered', ids: [1] });
  assert.equal(signaling.send({ type: 'chat', text }), 18);
  assert.deepEqual(outcomes.map(({ id, delivered }) => [id, delivered]), [[1, true]]);
});

test('whoever answers a welcome does not overtake what was to be sent before', () => {
  const clock = new FakeClock();
  /** @type {FakeSocket[]} */ const sockets = [];
  const signaling = new SignalingClient({
    connect: () => sockets[sockets.push(new FakeSocket()) - 1],
    hello: { type: 'hello', room: 'r' },
    onMessage: () => signaling.send({ type: 'chat', text: 'hello' }),
    onOutcome: () => {},
    onState: () => {},
    clock,
    random: () => 1,
  });
  signaling.send({ type: 'chat', text: 'first' });
  signaling.connect();
  sockets[0].onopen();
  sockets[0].receive(welcome);
  assert.deepEqual(sockets[0].frames.slice(1).map(({ id, text }) => [id, text]), [[1, 'first'], [2, 'hello']]);
});

test('nothing is taken after the end, and what was underway is lost', () => {
  const { signaling, outcomes, enter } = client();
  signaling.connect();
  enter();
  signaling.send({ type: 'chat', text: 'a' });
  signaling.bye();
  assert.equal(signaling.send({ type: 'chat', text: 'b' }), null);
  assert.deepEqual(outcomes.map(({ id, lost }) => [id, lost]), [[1, true]]);
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
  assert.deepEqual(clock.pending, [10_000, 2000], 'until the welcome, and until it is open');
  enter();
  signaling.connect();
  assert.equal(sockets.length, 2);
});

// A laptop changed from a cable to Wi-Fi: its WebSocket stayed open, and nothing ever came or went through it again.
test('a connection on which nothing comes after something was said is left for another one', () => {
  const { signaling, clock, sockets, enter, states } = client();
  signaling.connect();
  const dead = enter();
  signaling.send({ type: 'chat', text: 'anybody?' });
  clock.advance(5_000);
  signaling.send({ type: 'chat', text: 'hello?' });
  assert.equal(sockets.length, 1);
  clock.advance(1_000);
  // If it works after all, nobody must be told that we are away.
  assert.ok(!dead.closed);
  const next = sockets[1];
  next.onopen();
  next.receive({ ...welcome, resumed: true });
  assert.ok(dead.closed);
  assert.deepEqual(next.frames.map(({ type, id, resume }) => id ?? resume?.ticket ?? type), ['t', 1, 2]);
  assert.deepEqual(states, ['connecting', 'open', 'moving', 'open']);
  // What the old one says when it ends is nobody's business.
  dead.onclose({ code: 1006 });
  clock.advance(60_000);
  assert.equal(sockets.length, 2);
});

test('a connection that works is kept until another one has taken its place, and hears who leaves before', () => {
  const { signaling, clock, sockets, enter, states } = client();
  signaling.connect();
  const former = enter();
  signaling.reconnect();
  // The network is not there yet; nobody is told that we are away.
  sockets[1].onclose({ code: 1006 });
  assert.ok(!former.closed);
  clock.advance(1_000);
  sockets[2].onopen();
  assert.deepEqual(states, ['connecting', 'open', 'moving', 'waiting', 'connecting']);
  signaling.bye();
  assert.deepEqual(former.frames.at(-1), { type: 'bye' });
  assert.ok(former.closed);
});

test('nobody waits long for a connection that is to take the place of one', () => {
  const { signaling, clock, enter, states } = client();
  signaling.connect();
  enter();
  signaling.reconnect();
  clock.advance(3_000);
  assert.deepEqual(states, ['connecting', 'open', 'moving', 'waiting']);
});

// Two changes of the network within a second: the server heard of the first attempt after the second one, which it then closed as if
// another tab had come.
test('an attempt of our own that the server hears of late does not end the call', () => {
  const { signaling, clock, sockets, enter, states } = client();
  signaling.connect();
  enter();
  signaling.reconnect();
  signaling.reconnect();
  assert.ok(sockets[1].closed);
  sockets[2].onopen();
  sockets[2].receive({ ...welcome, resumed: true });
  sockets[2].onclose({ code: 4409 });
  assert.equal(states.at(-1), 'waiting');
  clock.advance(1_000);
  sockets[3].onopen();
  sockets[3].receive({ ...welcome, resumed: true });
  // And this is another tab.
  sockets[3].onclose({ code: 4409 });
  assert.equal(states.at(-1), 'closed replaced');
});

test('whatever the server says shows that it is there, and nobody waits for an answer to nothing', () => {
  const { signaling, clock, sockets, enter } = client();
  signaling.connect();
  const socket = enter();
  clock.advance(60_000);
  signaling.send({ type: 'chat', text: 'a' });
  clock.advance(5_000);
  socket.receive({ type: 'delivered', ids: [1] });
  clock.advance(60_000);
  assert.equal(sockets.length, 1);
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

test('a session is told as it goes on, so that a later page of the tab can have it', () => {
  const { signaling, clock, enter, sessions, states } = client();
  signaling.connect();
  const socket = enter();
  socket.receive({ type: 'chat', from: 'a', id: 1, seq: 1, text: 'x' });
  clock.advance(25);
  assert.deepEqual(sessions, [{ ticket: 't', received: 0, sent: 1000, windowS: 60 }, { ticket: 't', received: 1, sent: 1000, windowS: 60 }]);
  signaling.suspend();
  assert.equal(socket.closed, true);
  assert.deepEqual(socket.frames.filter(({ type }) => type === 'bye'), []);
  clock.advance(60_000);
  assert.equal(states.at(-1), 'closed');
  assert.deepEqual(sessions.length, 2, 'it goes on elsewhere');
});

/** What an earlier page has left. */
const left = { ticket: 'left', received: 7, sent: 3000, windowS: 60 };

test('the session of an earlier page goes on, with ids behind those that were used', () => {
  const { signaling, sockets, sessions, outcomes } = client({ session: left });
  signaling.send({ type: 'update', media: { audio: true } });
  signaling.connect();
  const [socket] = sockets;
  socket.onopen();
  socket.receive({ ...welcome, resumed: true, received: 41, ticket: 't2' });
  signaling.send({ type: 'chat', text: 'back' });
  assert.deepEqual(socket.frames.map(({ type, id, resume }) => [type, id, resume]), [
    // Whom the earlier page knew is not known.
    ['hello', undefined, { ticket: 'left', received: 7 }], ['update', 42, undefined], ['chat', 43, undefined],
  ]);
  socket.receive({ type: 'delivered', ids: [42, 43] });
  assert.deepEqual(outcomes.map(({ id, delivered }) => [id, delivered]), [[1, true], [2, true]]);
  assert.deepEqual(sessions, [{ ticket: 't2', received: 7, sent: 1000, windowS: 60 }]);
  // From here on it is a session like any other.
  socket.onclose({ code: 1006 });
  signaling.connect();
  sockets[1].onopen();
  assert.deepEqual(sockets[1].frames[0].resume, { ticket: 't2', received: 7, peers: [] });
});

// The server that was started meanwhile has received nothing, and everybody would drop what has an id that they have seen.
test('ids go on above those of the earlier page also where another process adopts the session', () => {
  const { signaling, sockets, sessions } = client({ session: left });
  signaling.connect();
  sockets[0].onopen();
  sockets[0].receive({ ...welcome, resumed: true, ticket: 't2' });
  signaling.send({ type: 'chat', text: 'back' });
  assert.equal(sockets[0].frames[1].id, 3001);
  assert.equal(/** @type {any} */ (sessions.at(-1)).sent, 4000);
});

test('what is told of the ids is above each of them', () => {
  const { signaling, enter, sessions, sockets } = client();
  signaling.connect();
  enter();
  for (let count = 1; count <= 2500; count += 1) {
    signaling.send({ type: 'update', name: 'a' });
    const told = /** @type {any} */ (sessions.at(-1));
    assert.ok(told.sent > sockets[0].frames.at(-1).id);
    sockets[0].receive({ type: 'delivered', ids: [count] });
  }
  assert.equal(sessions.length, 3, 'seldom');
});

// Whoever opened a tab of yesterday was seen and heard at once, in a new session.
test('where the session of an earlier page is over no other begins, and what waits has an outcome', () => {
  for (const code of ['resume_failed', 'room_locked']) {
    const { signaling, clock, sockets, sessions, outcomes, states } = client({ session: left });
    signaling.send({ type: 'update', media: { audio: true } });
    signaling.connect();
    sockets[0].onopen();
    sockets[0].receive({ type: 'error', code, message: '' });
    sockets[0].onclose({ code: 4000 });
    clock.advance(60_000);
    assert.deepEqual([sockets.length, states.at(-1), sessions], [1, `closed ${code}`, [null]]);
    assert.deepEqual(outcomes.map(({ id, lost }) => [id, lost]), [[1, true]]);
  }
});
