import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Call } from '../src/call/call.js';
import { newSha256 } from '../src/call/files/sha256.js';
import { FakeClock } from '../testing/random.js';

/** @import { SignalingState } from '../src/protocol/signaling.js' */

/** A connection that does nothing by itself. */
class StillConnection {
  connectionState = 'new';
  iceConnectionState = 'new';
  signalingState = 'stable';
  closed = false;
  restarts = 0;
  /** @type {Record<string, any>} */ channels = {};
  /** @type {any} */ onconnectionstatechange = null;

  /** @param {RTCConfiguration} configuration */
  constructor(configuration) {
    this.configuration = configuration;
  }

  /**
   * @param {string} label
   * @param {object} options
   */
  createDataChannel(label, options) {
    /** @type {string[]} */ const sent = [];
    const channel = {
      label, options, sent, readyState: 'connecting', onmessage: null, onopen: null, onclose: null,
      addEventListener: () => {}, send: (/** @type {string} */ text) => sent.push(text),
    };
    this.channels[label] = channel;
    return channel;
  }

  getConfiguration() {
    return this.configuration;
  }

  /** @param {RTCConfiguration} configuration */
  setConfiguration(configuration) {
    this.configuration = configuration;
  }

  getTransceivers() {
    return [];
  }

  restartIce() {
    this.restarts += 1;
  }

  /** @param {string} state */
  become(state) {
    this.connectionState = state;
    if (state === 'connected') this.channels.chat.readyState = 'open';
    this.onconnectionstatechange?.();
  }

  close() {
    this.closed = true;
    this.connectionState = 'closed';
  }
}

class FakeStream {
  static #count = 0;
  id = `stream-${(FakeStream.#count += 1)}`;
  getTracks() {
    return [];
  }
}

/** @param {string} peer */
function info(peer, name = peer) {
  const media = { audio: false, video: false, screen: false };
  return { peer, name, role: /** @type {const} */ ('participant'), state: /** @type {const} */ ('here'), media, polite: true };
}

function setUp({ watch = false } = {}) {
  const preferences = { low: false, codec: null };
  const clock = new FakeClock();
  /** @type {any[]} */ const sent = [];
  /** @type {any[]} */ const notices = [];
  /** @type {StillConnection[]} */ const connections = [];
  /** @type {any} */ let handlers;
  const devices = {
    media: { audio: true, video: false, screen: false },
    stream: new FakeStream(),
    screenStream: new FakeStream(),
    tracks: { microphone: null, camera: null, screen: null },
    screenAudio: null,
    muted: false,
    setMuted(/** @type {boolean} */ muted) {
      this.muted = muted;
      this.media.audio = !muted;
    },
  };
  let ids = 0;
  let session = false;
  const call = new Call({
    createSignaling: (given) => {
      handlers = given;
      return {
        send: (message) => sent.push(message),
        get hasSession() {
          return session;
        },
        connect: () => {},
        bye: () => {},
      };
    },
    createConnection: (configuration) => {
      const connection = new StillConnection(configuration);
      connections.push(connection);
      return /** @type {any} */ (connection);
    },
    newStream: () => /** @type {any} */ (new FakeStream()),
    devices: /** @type {any} */ (devices),
    preferences: () => preferences,
    watch,
    relayOnly: false,
    instance: 'this-page',
    newId: () => String((ids += 1)),
    newHash: newSha256,
    onChange: () => {},
    onNotice: (notice) => notices.push(notice),
    clock,
  });
  const state = (/** @type {SignalingState} */ next, /** @type {string | undefined} */ refusal) => handlers.onState(next, { refusal });
  const receive = (/** @type {any} */ message) => handlers.onMessage(message);
  const settle = (/** @type {any} */ outcome) => handlers.onOutcome(outcome);
  const welcome = (/** @type {string} */ peer, /** @type {any[]} */ ...peers) => {
    session = true;
    state('connecting', undefined);
    state('open', undefined);
    receive({
      type: 'welcome', peer, role: watch ? 'viewer' : 'participant', ticket: 't', resumed: false, received: 0,
      ice_servers: [{ urls: ['turn:127.0.0.1:3478'], username: 'u', credential: 'c', expires_at: 9 }],
      room: { name: 'r', locked: false, capacity: 16, peers },
    });
  };
  return { call, clock, sent, notices, connections, devices, preferences, state, receive, settle, welcome };
}

const ids = (/** @type {Call} */ call) => call.participants.map(({ id }) => id);

test('everybody in the room gets a link, and hears first which stream is the screen', () => {
  const { call, sent, connections, devices, welcome } = setUp();
  welcome('me', info('a'), info('b'));
  assert.deepEqual(ids(call), ['a', 'b']);
  assert.deepEqual(sent.map(({ type, to }) => [type, to]), [['event', 'a'], ['event', 'b']]);
  assert.deepEqual(sent[0].data, { instance: 'this-page', screen: devices.screenStream.id });
  assert.deepEqual(connections[0].configuration.iceServers, [{ urls: ['turn:127.0.0.1:3478'], username: 'u', credential: 'c' }]);
  assert.deepEqual(
    Object.values(connections[0].channels).map(({ label, options }) => [label, options]),
    [['chat', { negotiated: true, id: 0 }], ['echo', { negotiated: true, id: 1 }], ['files', { negotiated: true, id: 2 }]],
  );
});

test('joining and leaving is told, and ends the link', () => {
  const { call, notices, connections, receive, welcome } = setUp();
  welcome('me');
  receive({ type: 'peer_joined', seq: 1, peer: info('a', 'Mi\u202ena') });
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

test('whoever timed out stays while their media flows, and is known again when they come back', () => {
  const { call, notices, connections, receive, welcome } = setUp();
  welcome('me', info('a', 'Mina'));
  receive({ type: 'event', seq: 1, from: 'a', id: 1, name: 'streams', data: { instance: 'page-a', screen: 's' } });
  connections[0].become('connected');
  receive({ type: 'peer_left', seq: 2, peer: 'a', reason: 'timeout' });
  assert.deepEqual(call.participants.map(({ id, away }) => [id, away]), [['a', true]]);
  receive({ type: 'peer_joined', seq: 3, peer: info('a2', 'Mina') });
  receive({ type: 'event', seq: 4, from: 'a2', id: 1, name: 'streams', data: { instance: 'page-a', screen: 's' } });
  assert.deepEqual(ids(call), ['a2'], 'one person, one tile');
  assert.equal(connections[0].closed, false);
  connections[1].become('connected');
  assert.equal(connections[0].closed, true);
  assert.deepEqual(notices.map(({ kind }) => kind), ['joined']);
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

test('chat goes over the data channel, and through the server where that is closed', () => {
  const { call, sent, connections, welcome } = setUp();
  welcome('me', info('a'), info('b'));
  connections[0].become('connected');
  call.sendChat(' hello ');
  call.sendChat('   ');
  assert.deepEqual(connections[0].channels.chat.sent.map(JSON.parse), [{ type: 'chat', id: '1', text: 'hello' }]);
  assert.deepEqual(sent.filter(({ type }) => type === 'chat'), [{ type: 'chat', text: 'hello', to: 'b' }]);
  assert.deepEqual(call.chat.map(({ from, text }) => [from, text]), [['', 'hello']]);
});

test('what comes over a data channel is shown only if it is a chat message', () => {
  const { call, connections, receive, welcome } = setUp();
  welcome('me', info('a', 'Mina'));
  const { onmessage } = connections[0].channels.chat;
  for (const data of ['{', '7', '{"type":"other"}', '{"type":"chat"}', '{"type":"chat","text":{}}', new ArrayBuffer(3)]) onmessage({ data });
  onmessage({ data: JSON.stringify({ type: 'chat', id: 'x', text: '<img src=x onerror=alert(1)>' }) });
  receive({ type: 'chat', seq: 1, from: 'nobody', id: 1, text: 'boo' });
  assert.deepEqual(call.chat.map(({ name, text }) => [name, text]), [['Mina', '<img src=x onerror=alert(1)>']]);
});

test('new TURN credentials reach every link', () => {
  const { connections, receive, welcome } = setUp();
  welcome('me', info('a'));
  receive({ type: 'ice_servers', seq: 1, reason: 'renewal', ice_servers: [{ urls: ['turn:x'], username: 'n', credential: 'd' }] });
  assert.deepEqual(connections[0].configuration.iceServers, [{ urls: ['turn:x'], username: 'n', credential: 'd' }]);
  assert.equal(connections[0].configuration.iceTransportPolicy, 'all');
});

test('a refusal ends the call', () => {
  const { call, connections, state, welcome } = setUp();
  welcome('me', info('a'));
  state('closed', 'forbidden');
  assert.equal(call.refusal, 'forbidden');
  assert.equal(connections[0].closed, true);
});

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
  call.sendChat('hello');
  assert.deepEqual(sent.filter(({ type }) => type === 'chat').map(({ to }) => to), ['v', 'w']);
  receive({ type: 'chat', seq: 2, from: 'w', id: 1, text: 'hi' });
  assert.deepEqual(call.chat.map(({ name, text }) => [name, text]), [['', 'hello'], ['viewer w', 'hi']]);
  receive({ type: 'peer_left', seq: 3, peer: 'w', reason: 'bye' });
  assert.deepEqual(call.audience.map(({ peer }) => peer), ['v']);
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

test('what was said while the session ended may not have arrived, and says so', () => {
  const { call, settle, welcome } = setUp();
  welcome('me', info('a'));
  call.sendChat('one');
  call.sendChat('two');
  // Numbers 2 and 3: the first message told which stream is the screen.
  settle({ id: 2, message: { type: 'chat', text: 'one', to: 'a' }, delivered: true });
  settle({ id: 3, message: { type: 'chat', text: 'two', to: 'a' }, lost: true });
  assert.deepEqual(call.chat.map(({ text, uncertain }) => [text, uncertain]), [['one', false], ['two', true]]);
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
  const { connections, receive, welcome } = setUp();
  const peers = ['a', 'b', 'c'].map((name) => ({ ...info(name), polite: false }));
  welcome('me', ...peers);
  for (const connection of connections) connection.become('connected');
  connections[1].become('disconnected');
  connections[2].become('failed');
  assert.deepEqual(connections.map(({ restarts }) => restarts), [0, 0, 1]);
  receive({
    type: 'welcome', peer: 'me', role: 'participant', ticket: 't2', resumed: true, received: 0, ice_servers: [],
    room: { name: 'r', locked: false, capacity: 16, peers },
  });
  assert.deepEqual(connections.map(({ restarts }) => restarts), [0, 1, 2]);
});
