import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ids, info, setUp } from '../testing/call.js';

test('everybody in the room gets a link, and hears first which stream is the screen', () => {
  const { call, sent, connections, devices, welcome } = setUp();
  welcome('me', info('a'), info('b'));
  assert.deepEqual(ids(call), ['a', 'b']);
  assert.deepEqual(sent.map(({ type, to }) => [type, to]), [['event', 'a'], ['event', 'b']]);
  assert.deepEqual(sent[0].data, { screen: devices.screenStream.id, link: 0 });
  assert.deepEqual(connections[0].configuration.iceServers, [{ urls: ['turn:127.0.0.1:3478'], username: 'u', credential: 'c' }]);
  assert.deepEqual(
    Object.values(connections[0].channels).map(({ label, options }) => [label, options]),
    [['chat', { negotiated: true, id: 0 }], ['echo', { negotiated: true, id: 1 }], ['files', { negotiated: true, id: 2 }]],
  );
});

test('joining and leaving is told, and ends the link', () => {
  const { call, notices, connections, receive, welcome } = setUp();
  welcome('me');
  receive({ type: 'peer_joined', seq: 1, peer: info('a', 'Mi\nna') });
  receive({ type: 'peer_left', seq: 2, peer: 'a', reason: 'bye' });
  assert.deepEqual(notices, [{ kind: 'joined', name: 'Mi na' }, { kind: 'left', name: 'Mi na' }]);
  assert.equal(connections[0].closed, true);
  assert.deepEqual(ids(call), []);
});

test('a server that tells of a thousand people does not use up all connections', () => {
  const { call, connections, welcome } = setUp();
  welcome('me', ...Array.from({ length: 1000 }, (_, number) => info(`peer-${number}`)));
  assert.equal(connections.length, 64);
  assert.equal(call.participants.length, 64);
});

test('a refusal ends the call', () => {
  const { call, connections, state, welcome } = setUp();
  welcome('me', info('a'));
  state('closed', 'forbidden');
  assert.equal(call.refusal, 'forbidden');
  assert.equal(connections[0].closed, true);
});

// "Connecting…" for ever was what an offer without a BUNDLE group led to (webrtcbin's default).
test('an offer without a group of its sections gets a connection with a transport for each, once', () => {
  const { call, connections, receive, welcome } = setUp();
  welcome('me', info('a'));
  assert.equal(connections[0].configuration.bundlePolicy, 'max-bundle');
  const sdp = ['audio', 'video'].map((kind) => `m=${kind} 9 UDP/TLS/RTP/SAVPF 0\r\na=fingerprint:sha-256 00\r\n`).join('');
  const offer = (/** @type {number} */ epoch) => receive({ type: 'signal', seq: epoch, id: epoch, from: 'a', epoch, description: { type: 'offer', sdp: `v=0\r\n${sdp}` } });
  offer(1);
  offer(2);
  assert.deepEqual(connections.map(({ closed, configuration }) => [closed, configuration.bundlePolicy]), [[true, 'max-bundle'], [false, 'balanced']]);
  assert.deepEqual(call.participants.map(({ id }) => id), ['a']);
});
