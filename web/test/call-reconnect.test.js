import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ids, info, settled, setUp, streams } from '../testing/call.js';

test('losing signaling leaves every link alone', () => {
  const { call, connections, state, welcome } = setUp();
  welcome('me', info('a'));
  connections[0].become('connected');
  state('waiting', undefined);
  assert.equal(connections[0].closed, false);
  assert.equal(call.participants[0].state, 'connected');
});

test('coming back as somebody new keeps the old link until the new one carries', () => {
  const { call, connections, state, welcome } = setUp();
  welcome('me', info('a'));
  connections[0].become('connected');
  state('waiting', undefined);
  welcome('me-again', info('a'));
  assert.deepEqual(ids(call), ['a']);
  assert.equal(connections[0].closed, false);
  assert.equal(call.participants[0].state, 'connected', 'through the old link');
  connections[1].become('connected');
  assert.equal(connections[0].closed, true);
});

// An old link that still looked for a way once sent its offers to the same peer, with a number that made the new link's ones look old.
test('an old link says nothing more once another one has taken its place, and looks for no way', () => {
  const { call, clock, connections, sent, state, welcome } = setUp();
  welcome('me', { ...info('a'), polite: false });
  connections[0].become('connected');
  state('waiting', undefined);
  welcome('me-again', { ...info('a'), polite: false });
  const before = sent.length;
  const [old] = connections;
  /** @type {any} */ (old).onicecandidate({ candidate: null });
  const restarts = old.restarts;
  old.become('failed');
  clock.advance(60_000);
  assert.deepEqual(sent.slice(before).filter(({ type }) => type === 'signal'), []);
  assert.equal(old.restarts, restarts);
  assert.equal(call.participants[0].linkNumber, 0);
});

/** @param {string} page @param {string} from @param {string} [to] */
const proven = (page, from, to = 'me') => ({ type: 'event', seq: 0, from, id: 1, name: 'page', data: { key: page, proof: `${page} ${from} ${to}` } });

test('whoever timed out stays while their media flows, and is known again when they come back', async () => {
  const { call, notices, connections, receive, welcome } = setUp();
  welcome('me', info('a', 'Mina'));
  receive(proven('page-a', 'a'));
  connections[0].become('connected');
  receive({ type: 'peer_left', seq: 2, peer: 'a', reason: 'timeout' });
  assert.deepEqual(call.participants.map(({ id, away }) => [id, away]), [['a', true]]);
  receive({ type: 'peer_joined', seq: 3, peer: info('a2', 'Mina') });
  receive(proven('page-a', 'a2'));
  await settled();
  assert.deepEqual(ids(call), ['a2'], 'one person, one tile');
  assert.equal(connections[0].closed, false);
  connections[1].become('connected');
  assert.equal(connections[0].closed, true);
  assert.deepEqual(notices.map(({ kind }) => kind), ['joined']);
});

// Each page once told everybody the same secret, with which anybody could take anybody's place, and get the files meant for them.
test('nobody takes the place of somebody else with what these have told them', async () => {
  const { call, connections, receive, welcome } = setUp();
  welcome('me', info('a'), info('eve'));
  receive(proven('page-a', 'a'));
  await settled();
  connections[0].become('connected');
  for (const said of [proven('page-a', 'a'), proven('page-a', 'a', 'eve'), proven('page-a', 'eve', 'somebody')]) {
    receive({ ...said, from: 'eve' });
  }
  await settled();
  assert.deepEqual(ids(call), ['a', 'eve']);
  assert.equal(connections[0].closed, false);
});

test('whoever timed out without media is gone, and so is the one whose media ends later', () => {
  const { call, connections, receive, welcome } = setUp();
  welcome('me', info('a'), info('b'));
  connections[1].become('connected');
  receive({ type: 'peer_left', seq: 1, peer: 'a', reason: 'timeout' });
  receive({ type: 'peer_left', seq: 2, peer: 'b', reason: 'timeout' });
  assert.deepEqual(ids(call), ['b']);
  connections[1].channels.chat.onclose();
  assert.deepEqual(ids(call), []);
});

test('new TURN credentials reach every link', () => {
  const { connections, receive, welcome } = setUp();
  welcome('me', info('a'));
  receive({ type: 'ice_servers', seq: 1, reason: 'renewal', ice_servers: [{ urls: ['turn:x'], username: 'n', credential: 'd' }] });
  assert.deepEqual(connections[0].configuration.iceServers, [{ urls: ['turn:x'], username: 'n', credential: 'd' }]);
  assert.equal(connections[0].configuration.iceTransportPolicy, 'all');
});

test('a session that goes on makes nothing anew', () => {
  const { call, sent, connections, state, receive, welcome } = setUp();
  welcome('me', info('a'), info('b'));
  const before = sent.length;
  connections[0].become('connected');
  state('waiting', undefined);
  state('open', undefined);
  receive({
    type: 'welcome', peer: 'me', role: 'host', ticket: 't2', resumed: true, received: 0, ice_servers: [],
    room: { name: 'r', locked: true, capacity: 16, peers: [{ ...info('a'), state: 'away' }, info('c')] },
  });
  assert.deepEqual(call.participants.map(({ id, away }) => [id, away]), [['a', true], ['b', true], ['c', false]], 'b is waited for, and c has come');
  assert.equal(connections.length, 3);
  assert.equal(connections[0].closed, false);
  assert.equal(call.room.locked, true);
  assert.deepEqual(sent.slice(before).map(({ type, to }) => [type, to]), [['event', 'c']]);
  receive({ type: 'peer_joined', seq: 9, peer: info('c') });
  assert.equal(connections.length, 3, 'the news of it came late');
});

// A still picture stayed for as long as the room did: the page that was left was neither gone nor did it come back.
test('who has hung up and is not in the room that a server has adopted is gone, until they come back', () => {
  const { call, connections, notices, state, receive, welcome } = setUp();
  welcome('me', info('a'));
  connections[0].become('connected');
  connections[0].channels.chat.onclose();
  state('waiting', undefined);
  state('open', undefined);
  receive({
    type: 'welcome', peer: 'me', role: 'host', ticket: 't2', resumed: true, received: 0, ice_servers: [],
    room: { name: 'r', locked: true, capacity: 16, peers: [] },
  });
  assert.deepEqual(ids(call), []);
  receive({ type: 'peer_joined', seq: 9, peer: info('a') });
  assert.deepEqual([ids(call), connections.length], [['a'], 2]);
  assert.deepEqual(notices.at(-1), { kind: 'joined', name: 'a' });
});

test('devices that change are told once, also while the server is away', () => {
  const { call, sent, devices, state, welcome } = setUp();
  welcome('me', info('a'));
  const before = sent.length;
  call.devicesChanged();
  state('waiting', undefined);
  devices.media.video = true;
  call.devicesChanged();
  call.devicesChanged();
  assert.deepEqual(sent.slice(before), [{ type: 'update', media: { audio: true, video: true, screen: false } }]);
});

test('the loss of a relay has links through it look for another way, and no others', () => {
  const { call, clock, connections, receive, welcome } = setUp();
  welcome('me', { ...info('a'), polite: false }, { ...info('b'), polite: false }, info('c'));
  for (const connection of connections) connection.become('connected');
  for (const [index, path] of /** @type {const} */ (['relay', 'host', 'relay']).entries()) {
    call.participants[index].link.statistics.path = path;
  }
  receive({ type: 'ice_servers', seq: 1, reason: 'renewal', ice_servers: [] });
  assert.deepEqual(connections.map(({ restarts }) => restarts), [0, 0, 0]);
  receive({ type: 'ice_servers', seq: 2, reason: 'relay_lost', ice_servers: [{ urls: ['turn:y'], username: 'u', credential: 'c', expires_at: 9 }] });
  // The third is the other side's to restart: two who restart at once would be in each other's way.
  assert.deepEqual(connections.map(({ restarts }) => restarts), [1, 0, 0]);
  assert.deepEqual(connections.map(({ configuration }) => configuration.iceServers), Array(3).fill([{ urls: ['turn:y'], username: 'u', credential: 'c' }]));
  // Unless they do not know.
  clock.advance(2000);
  assert.deepEqual(connections.map(({ restarts }) => restarts), [1, 0, 1]);
});

test('back on the server, links that have lost their way look for another one at once', () => {
  const { clock, connections, receive, welcome } = setUp();
  const peers = ['a', 'b', 'c'].map((name) => ({ ...info(name), polite: false }));
  welcome('me', ...peers);
  for (const connection of connections) connection.become('connected');
  connections[1].become('disconnected');
  connections[2].become('failed');
  assert.deepEqual(connections.map(({ restarts }) => restarts), [0, 0, 1]);
  const back = () => receive({
    type: 'welcome', peer: 'me', role: 'participant', ticket: 't2', resumed: true, received: 0, ice_servers: [],
    room: { name: 'r', locked: false, capacity: 16, peers },
  });
  back();
  assert.deepEqual(connections.map(({ restarts }) => restarts), [0, 1, 1], 'one that has just begun to look is left alone');
  clock.advance(1500);
  back();
  assert.deepEqual(connections.map(({ restarts }) => restarts), [0, 2, 2]);
});

// A relay that was back was told as a renewal, on which nobody acted: calls waited for the next failure.
test('whatever ICE servers come for, links without a way try them', () => {
  const { clock, connections, receive, welcome } = setUp();
  const peers = ['a', 'b', 'c'].map((name) => ({ ...info(name), polite: false }));
  welcome('me', ...peers);
  connections[0].become('connected');
  connections[1].become('connected');
  connections[1].become('failed');
  clock.advance(5000);
  receive({ type: 'ice_servers', seq: 1, ice_servers: [], reason: 'renewal' });
  assert.deepEqual(connections.map(({ restarts }) => restarts), [0, 2, 0], 'what begins looks already');
});

test('in another network every link looks for its way at once, also one that has not noticed yet', () => {
  const { call, clock, connections, welcome } = setUp();
  welcome('me', { ...info('a'), polite: false }, info('b'));
  for (const connection of connections) connection.become('connected');
  call.networkChanged();
  assert.deepEqual(connections.map(({ restarts }) => restarts), [1, 0]);
  // The second is the other side's to restart, which does not know.
  clock.advance(2000);
  assert.deepEqual(connections.map(({ restarts }) => restarts), [1, 1]);
});

test('an interruption is told, and its end', () => {
  const { notices, connections, welcome } = setUp();
  welcome('me', info('a', 'Mina'));
  connections[0].become('connected');
  for (const state of ['disconnected', 'failed', 'connected', 'connected']) connections[0].become(state);
  assert.deepEqual(notices, [{ kind: 'interrupted', name: 'Mina' }, { kind: 'restored', name: 'Mina' }]);
});

// A call once stayed dead after an outage of half a minute: the link failed before the other side was back in signaling.
test('whoever is away with a failed link is waited for until the server says that they have left', () => {
  const { call, notices, connections, receive, welcome } = setUp();
  welcome('me', info('a', 'Mina'), info('b'));
  for (const connection of connections) connection.become('connected');
  receive({ type: 'peer_updated', seq: 1, peer: { ...info('a', 'Mina'), state: 'away' } });
  connections[0].become('disconnected');
  connections[0].become('failed');
  connections[0].channels.chat.onclose();
  assert.deepEqual(call.participants.map(({ id, away }) => [id, away]), [['a', true], ['b', false]]);
  assert.equal(connections[0].closed, false);
  receive({ type: 'peer_updated', seq: 2, peer: info('a', 'Mina') });
  connections[0].become('connected');
  assert.deepEqual(call.participants.map(({ state, away }) => [state, away]), [['connected', false], ['connected', false]]);
  assert.deepEqual(notices.filter(({ kind }) => kind === 'left'), []);
  // And when it says so, they have.
  receive({ type: 'peer_updated', seq: 3, peer: { ...info('a', 'Mina'), state: 'away' } });
  connections[0].become('failed');
  receive({ type: 'peer_left', seq: 4, peer: 'a', reason: 'timeout' });
  assert.deepEqual(ids(call), ['b']);
  assert.equal(connections[0].closed, true);
});

/** @param {string} peer */
const away = (peer) => ({ type: 'peer_updated', seq: 0, peer: { ...info(peer), state: 'away' } });
/** @param {string} peer */
const here = (peer) => ({ type: 'peer_updated', seq: 0, peer: info(peer) });

test('who closes the page and keeps the place has left, and whoever loads it anew has joined', () => {
  const { call, notices, connections, receive, welcome } = setUp();
  welcome('me', info('a'), info('b'));
  for (const connection of connections) connection.become('connected');
  // Either may come first.
  connections[0].channels.chat.onclose();
  assert.deepEqual(ids(call), ['a', 'b'], 'the server has them');
  for (const peer of ['a', 'b']) receive(away(peer));
  connections[1].channels.chat.onclose();
  assert.deepEqual(ids(call), []);
  assert.deepEqual(connections.map(({ closed }) => closed), [true, true]);
  receive(here('a'));
  receive(here('a'));
  assert.deepEqual(ids(call), ['a']);
  assert.equal(connections.length, 3);
  assert.deepEqual(notices.map(({ kind }) => kind), ['left', 'left', 'joined']);
  receive({ type: 'peer_left', seq: 9, peer: 'b', reason: 'timeout' });
  assert.deepEqual(ids(call), ['a']);
  // Who is here is here, also if this page had taken them for gone.
  receive(here('b'));
  receive(here('b'));
  assert.deepEqual(ids(call), ['a', 'b']);
  assert.deepEqual(notices.at(-1), { kind: 'joined', name: 'b' });
  receive(away('nobody'));
  assert.deepEqual(ids(call), ['a', 'b']);
});

test('who comes back in the same session on another page gets a new link, and nobody else does', () => {
  const { call, sent, connections, receive, welcome } = setUp();
  welcome('me', info('a'));
  receive(streams('a', 'first page'));
  connections[0].become('connected');
  // Links are not made at will.
  receive(streams('a', 'a lie'));
  receive(streams('a', 'first page'));
  assert.equal(connections.length, 1);
  // A crash: nothing was closed.
  receive(away('a'));
  connections[0].become('failed');
  receive(here('a'));
  receive(streams('a', 'second page'));
  assert.equal(connections.length, 2);
  assert.equal(connections[0].closed, true);
  assert.equal(call.participants[0].state, 'connecting');
  assert.deepEqual(sent.flatMap(({ type, name, to }) => (type === 'event' && name === 'streams' ? to : [])), ['a', 'a']);
  // The same page again: only the server was away.
  receive(away('a'));
  receive(here('a'));
  receive(streams('a', 'second page'));
  assert.equal(connections.length, 2);
});

test('a page that goes on with a session of an earlier one hears nothing that was said to that', async () => {
  const { call, connections, devices, sent, state, receive } = setUp({ restored: true });
  /** @type {any[]} */ const heard = [];
  state('open', undefined);
  devices.media.audio = false;
  receive({
    type: 'welcome', peer: 'me', role: 'host', ticket: 't2', resumed: true, received: 41, ice_servers: [],
    room: { name: 'r', locked: true, capacity: 16, peers: [info('a')] },
  });
  assert.deepEqual([call.role, call.room.locked, ids(call)], ['host', true, ['a']]);
  assert.deepEqual(sent.filter(({ type }) => type === 'update'), [{ type: 'update', media: devices.media }]);
  Object.assign(connections[0], { addIceCandidate: async (/** @type {unknown} */ it) => heard.push(it), remoteDescription: { sdp: '' } });
  const candidate = { type: 'signal', seq: 8, from: 'a', id: 4, epoch: 5, candidate: { candidate: 'stale' } };
  receive(candidate);
  await settled();
  assert.deepEqual(heard, []);
  receive(streams('a'));
  receive({ ...candidate, candidate: { candidate: 'fresh' } });
  await settled();
  assert.deepEqual(heard, [{ candidate: 'fresh' }]);
});

// After one answer that Chromium refuses it refuses all that follow: such a call was dead for good.
test('a link that takes no description any more is made anew, on both sides and not without end', async () => {
  const { call, sent, connections, clock, receive, welcome } = setUp();
  welcome('me', { ...info('a'), polite: false }, info('old'));
  receive({ ...streams('a'), data: { screen: 's', link: 0 } });
  receive(streams('old'));
  const sdp = 'v=0\r\na=fingerprint:sha-256 00\r\na=ice-ufrag:x\r\n';
  let refuses = false;
  const offer = async (/** @type {string} */ from, /** @type {any} */ connection, /** @type {number} */ epoch, type = 'offer') => {
    connection.signalingState = type === 'answer' ? 'have-local-offer' : 'stable';
    connection.setRemoteDescription ??= async () => {
      if (refuses) throw new Error('it refuses everything');
    };
    connection.setLocalDescription ??= async () => {};
    receive({ type: 'signal', seq: 0, from, id: 0, epoch, description: { type, sdp } });
    await settled();
  };
  for (const [index, from] of ['a', 'old'].entries()) {
    connections[index].become('connected');
    await offer(from, connections[index], 1);
  }
  refuses = true;
  for (const [index, from] of ['a', 'old'].entries()) await offer(from, connections[index], 1, 'answer');
  assert.equal(connections.length, 3, 'not where the other side would not know of it');
  assert.equal(call.participants[0].state, 'connected', 'the old one carries until then');
  assert.deepEqual(sent.filter(({ name, to }) => name === 'streams' && to === 'a').map(({ data }) => data.link), [0, 1]);
  // What they said before they have heard of it is about the old one.
  refuses = false;
  /** @type {unknown[]} */ const heard = [];
  Object.assign(connections[2], { setRemoteDescription: async (/** @type {unknown} */ description) => heard.push(description) });
  await offer('a', connections[2], 3);
  receive({ ...streams('a'), data: { screen: 's', link: 0 } });
  await offer('a', connections[2], 3);
  assert.deepEqual(heard, []);
  receive({ ...streams('a'), data: { screen: 's', link: 1 } });
  await offer('a', connections[2], 1);
  assert.equal(heard.length, 1);
  connections[2].become('connected');
  assert.equal(connections[0].closed, true);
  // They may do so as well, a few times.
  for (const link of [2, 3, 4, 5, 6]) receive({ ...streams('a'), data: { screen: 's', link } });
  assert.equal(connections.length, 5);
  clock.advance(60_000);
  receive({ ...streams('a'), data: { screen: 's', link: 7 } });
  assert.equal(connections.length, 6);
});
