// A call whose server, devices and connections do what a test tells them.

import { Call } from '../src/call/call.js';
import { newSha256 } from '../src/call/files/sha256.js';
import { FakeClock } from './random.js';

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

/** What the server tells of somebody. @param {string} peer */
export function info(peer, name = peer) {
  const media = { audio: false, video: false, screen: false };
  return { peer, name, role: /** @type {const} */ ('participant'), state: /** @type {const} */ ('here'), media, polite: true };
}

/** Proofs that are easy to write. @type {import('../src/call/identity.js').Identity} */
const identity = {
  introduce: async () => null,
  recognise: async (said, from, to) => {
    const { key, proof } = /** @type {Record<string, string>} */ (said);
    return proof === `${key} ${from} ${to}` ? key : null;
  },
};

/** What the page of somebody tells about itself first. @param {string} from */
export const streams = (from, screen = `screen of ${from}`) => ({ type: 'event', seq: 0, from, id: 1, name: 'streams', data: { screen } });

/** When all promises have done what they can. */
export const settled = () => new Promise((resolve) => setImmediate(resolve));

/** A call with everything around it in our hands. */
export function setUp({ watch = false, restored = false } = {}) {
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
        reconnect: () => {},
        suspend: () => {},
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
    restored,
    relayOnly: false,
    identity,
    newId: () => String((ids += 1)),
    newHash: newSha256,
    onChange: () => {},
    onNotice: (notice) => notices.push(notice),
    clock,
  });
  const state = (/** @type {SignalingState} */ next, /** @type {string | undefined} */ refusal) => {
    session ||= next === 'open';
    handlers.onState(next, { refusal });
  };
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

/** Who else is in it. */
export const ids = (/** @type {Call} */ call) => call.participants.map(({ id }) => id);
