import assert from 'node:assert/strict';
import { test } from 'node:test';
import { REACTION_MS } from '../src/call/gestures.js';
import { ids, info, setUp, streams } from '../testing/call.js';

test('a raised hand is told to everybody, and to those who come later', () => {
  const { call, sent, receive, welcome } = setUp();
  welcome('me', info('a'));
  call.raiseHand(true);
  assert.deepEqual(sent.at(-1), { type: 'event', name: 'presence', data: { hand: true, low: false } });
  receive({ type: 'peer_joined', seq: 1, peer: info('b') });
  assert.deepEqual(sent.filter(({ to, name }) => to === 'b' && name === 'presence').map(({ data }) => data), [{ hand: true, low: false }]);
});

test('a hand is announced once, and lowered silently', () => {
  const { call, notices, receive, welcome } = setUp();
  welcome('me', info('a', 'Mina'));
  const tell = (/** @type {unknown} */ data) => receive({ type: 'event', seq: 1, from: 'a', id: 1, name: 'presence', data });
  tell({ hand: true });
  tell({ hand: true, low: true });
  assert.equal(call.participants[0].presence.hand, true);
  for (const data of [null, 7, 'x', { hand: 'yes' }, {}]) tell(data);
  assert.equal(call.participants[0].presence.hand, false);
  assert.deepEqual(notices, [{ kind: 'hand', name: 'Mina' }]);
});

test('a reaction is shown for a while; what nobody knows is not', () => {
  const { call, clock, notices, receive, welcome } = setUp();
  welcome('me', info('a', 'Mina'));
  for (const data of [null, { reaction: '<img>' }, { reaction: 'toString' }, { reaction: 'clap' }]) {
    receive({ type: 'event', seq: 1, from: 'a', id: 1, name: 'reaction', data });
  }
  assert.equal(call.participants[0].reaction, 'clap');
  assert.deepEqual(notices, [{ kind: 'reaction', name: 'Mina', reaction: 'clap' }]);
  clock.advance(5000);
  assert.equal(call.participants[0].reaction, null);
});

test('a second reaction is shown as long as the first', () => {
  const { call, clock, receive, welcome } = setUp();
  welcome('me', info('a', 'Mina'));
  const react = (/** @type {string} */ reaction) => receive({ type: 'event', seq: 1, from: 'a', id: 1, name: 'reaction', data: { reaction } });
  react('clap');
  clock.advance(REACTION_MS - 1);
  react('heart');
  clock.advance(REACTION_MS - 1);
  assert.equal(call.participants[0].reaction, 'heart');
  clock.advance(1);
  assert.equal(call.participants[0].reaction, null);
});

test('whom a host has muted is told, and is muted', () => {
  const { call, devices, notices, receive, welcome } = setUp();
  welcome('me', info('a'));
  const self = { ...info('me'), media: { audio: false, video: false, screen: false } };
  receive({ type: 'peer_updated', seq: 1, peer: self });
  assert.equal(devices.muted, true);
  assert.deepEqual(notices, [{ kind: 'muted' }]);
  devices.setMuted(false);
  receive({ type: 'peer_updated', seq: 2, peer: { ...self, role: 'host' } });
  assert.equal(call.role, 'host');
  assert.equal(devices.muted, false, 'becoming host says nothing about the microphone');
});

test('a host moderates, and hears when the server refuses', () => {
  const { call, sent, notices, receive, settle, welcome } = setUp();
  welcome('me', info('a'));
  call.moderate('lock');
  call.moderate('kick', 'a');
  assert.deepEqual(sent.slice(-2), [{ type: 'moderate', action: 'lock' }, { type: 'moderate', action: 'kick', peer: 'a' }]);
  receive({ type: 'room_updated', seq: 1, locked: true });
  assert.equal(call.room.locked, true);
  settle({ id: 9, message: sent[sent.length - 1], refused: 'forbidden' });
  assert.deepEqual(notices, [{ kind: 'locked', locked: true }, { kind: 'refused', code: 'forbidden' }]);
});

test('the lock stays as the host has set it, until the server says how it is', () => {
  const { call, receive, settle, state, welcome } = setUp();
  welcome('me', info('a'));
  call.moderate('lock');
  receive({ type: 'peer_joined', seq: 1, peer: info('b') });
  assert.deepEqual([call.locked, call.room.locked], [true, false]);
  receive({ type: 'room_updated', seq: 2, locked: true });
  receive({ type: 'room_updated', seq: 3, locked: false });
  assert.equal(call.locked, false, 'another host has opened it');
  call.moderate('lock');
  settle({ id: 9, message: { type: 'moderate', action: 'lock' }, refused: 'forbidden' });
  assert.equal(call.locked, false, 'refused');
  call.moderate('lock');
  state('moving', undefined);
  assert.equal(call.locked, true, 'what was said over the connection before is not lost');
  state('waiting', undefined);
  assert.equal(call.locked, false, 'nobody knows whether it got there');
});

test('viewers have a link to whom they watch, and none to each other, but chat with everybody', () => {
  const { call, sent, connections, receive, welcome } = setUp({ watch: true });
  const viewer = (/** @type {string} */ peer) => ({ ...info(peer, `viewer ${peer}`), role: /** @type {const} */ ('viewer') });
  welcome('me', info('host'), viewer('v'));
  receive({ type: 'peer_joined', seq: 1, peer: viewer('w') });
  assert.deepEqual(ids(call), ['host']);
  assert.equal(connections.length, 1);
  assert.deepEqual(call.audience.map(({ peer }) => peer), ['v', 'w']);
  assert.equal(call.viewers.count, 2);
  connections[0].become('connected');
  receive(streams('host'));
  call.sendChat('hello');
  assert.deepEqual(sent.filter(({ type }) => type === 'chat').map(({ to }) => to), ['v', 'w']);
  receive({ type: 'chat', seq: 2, from: 'w', id: 1, text: 'hi' });
  assert.deepEqual(call.chat.map(({ name, text }) => [name, text]), [['', 'hello'], ['viewer w', 'hi']]);
  receive({ type: 'peer_left', seq: 3, peer: 'w', reason: 'bye' });
  assert.deepEqual(call.audience.map(({ peer }) => peer), ['v']);
});
