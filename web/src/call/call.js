// A call: everybody in the room, chat, gestures, what hosts may do, and what happens when signaling comes and goes.
// No DOM.

import { cleanName } from '../protocol/room.js';
import { Conversation } from './conversation.js';
import { parseObject } from './echo.js';
import { Events } from './events.js';
import { People } from './people.js';
import { paced } from './recovery.js';
import { Upload } from './upload.js';

/** @import { Identity } from './identity.js' */
/** @import { Clock, InMessage, ModerateAction, OutMessage, PeerInfo, Role, Welcome } from '../protocol/types.js' */
/** @import { Outcome, SignalingState } from '../protocol/signaling.js' */
/** @import { ChatMessage } from './chat.js' */
/** @import { Devices } from './devices.js' */
/** @import { GestureNotice } from './events.js' */
/** @import { Source } from './files/outgoing.js' */
/** @import { Hash } from './files/transfer.js' */
/** @import { Reaction } from './gestures.js' */
/** @import { Participant } from './participant.js' */

/** Longest message of a chat channel that is read, in UTF-16 units: as much as goes through the server. */
const LONGEST_CHAT = 65_536;
/** How often the connection to the server is replaced at most because nothing comes from anybody, in milliseconds. */
const MOVE_PAUSE_MS = 15_000;

/**
 * What people should hear about at once.
 * @typedef {{kind: 'joined' | 'left' | 'interrupted' | 'restored', name: string} | {kind: 'back' | 'muted' | 'host'} | {kind: 'chat', message: ChatMessage}
 *   | {kind: 'file', name: string, file: string} | GestureNotice
 *   | {kind: 'locked', locked: boolean} | {kind: 'refused', code: string}} Notice
 *
 * What a call needs of the signaling client.
 * @typedef {{send: (message: OutMessage) => number | null, readonly hasSession: boolean, connect: () => void, reconnect: () => void, suspend: () => void, bye: () => void}} Signaling
 *
 * What the reader prefers, as it is now.
 * @typedef {{low: boolean, codec: string | null}} Preferences
 *
 * @typedef {object} CallOptions
 * @property {(handlers: {onMessage: (message: InMessage) => void, onOutcome: (outcome: Outcome) => void,
 *   onState: (state: SignalingState, detail: {refusal?: string}) => void}) => Signaling} createSignaling
 * @property {(configuration: RTCConfiguration) => RTCPeerConnection} createConnection
 * @property {() => MediaStream} newStream
 * @property {Devices} devices
 * @property {() => Preferences} preferences
 * @property {boolean} watch whether we only watch
 * @property {boolean} relayOnly
 * @property {boolean} [restored] whether we go on with the session of an earlier page
 * @property {Identity} identity the same for all sessions of this page, so that others know it again
 * @property {() => string} newId
 * @property {() => Promise<Hash>} newHash SHA-256
 * @property {() => void} onChange
 * @property {(notice: Notice) => void} onNotice
 * @property {Clock} clock
 */

export class Call {
  #options;
  #signaling;
  #people;
  #events;
  #upload;
  #ended = false;
  /** What the others know of our devices. */ #toldMedia;
  #conversation;

  /** @type {SignalingState} */ signalingState = 'waiting';
  /** Whether the room has been entered at least once. */ entered = false;
  /** Connections that failed since the room was last entered. */ attempts = 0;
  /** Why the server refused for good. @type {string | null} */ refusal = null;
  selfId = '';
  /** @type {Role} */ role;
  room = { name: '', locked: false, capacity: 0 };
  /** What we asked the server for, until it says how it is. @type {boolean | null} */ #lockAsked = null;

  /** @param {CallOptions} options */
  constructor(options) {
    this.#options = options;
    this.role = options.watch ? 'viewer' : 'participant';
    this.#toldMedia = JSON.stringify(options.devices.media);
    this.#signaling = options.createSignaling({
      onMessage: (message) => this.#receive(message),
      onOutcome: (outcome) => this.#settled(outcome),
      onState: (state, { refusal }) => this.#signalingChanged(state, refusal),
    });
    const moveOn = paced(options.clock, MOVE_PAUSE_MS, () => this.#signaling.reconnect());
    this.#people = new People({
      ...options,
      // Without a session every link will be made anew, and what the old ones say would only confuse.
      sendSignal: (to, body) => this.#signaling.hasSession && this.#signaling.send({ type: 'signal', to, ...body }),
      onLink: (participant) => this.#introduce(participant),
      onChat: (participant, data) => {
        if (typeof data === 'string' && data.length <= LONGEST_CHAT) this.#conversation.hear(participant, parseObject(data));
      },
      onBack: (info) => this.#joined(info),
      onLeft: (participant) => {
        this.#conversation.left(participant);
        options.onNotice({ kind: 'left', name: participant.name });
      },
      onChange: () => {
        this.#conversation.linksChanged();
        options.onChange();
      },
      onInterrupted: ({ name }, interrupted) => options.onNotice({ kind: interrupted ? 'interrupted' : 'restored', name }),
      isHeard: () => this.hasSignaling,
      // The network may be another one, of which no browser tells: what the server says would not come either.
      onSilence: () => this.signalingState === 'open' && moveOn(),
      onFile: (name, file) => options.onNotice({ kind: 'file', name, file }),
    });
    this.#events = new Events({
      ...options,
      send: (message) => this.#signaling.send(message),
      selfId: () => this.selfId,
      onPage: (participant, page) => this.#people.recognise(participant, page),
      onOtherPage: (participant) => this.#people.renew(participant),
      onOtherLink: (participant) => this.#people.replaceLink(participant),
      onAppetite: () => this.#upload.share(),
    });
    this.#upload = new Upload({ ...options, participants: () => this.participants });
    this.#conversation = new Conversation({
      ...options,
      people: this.#people,
      sendThroughServer: (message) => this.#signaling.send(message),
      onMessage: (message) => this.#chatted(message),
    });
  }

  /** The last messages. @type {ChatMessage[]} */
  get chat() {
    return this.#conversation.messages;
  }

  /** How many messages there have been. */
  get chatCount() {
    return this.#conversation.count;
  }

  /** Everybody else, those who were there first first. */
  get participants() {
    return this.#people.list;
  }

  /** Those in the room whom we have no connection to: other viewers, if we are one. */
  get audience() {
    return this.#people.audience;
  }

  /** Whether we only watch. */
  get watching() {
    return this.role === 'viewer';
  }

  /** Whether the server hears us: not lost is what only moves to another connection. */
  get hasSignaling() {
    return this.signalingState === 'open' || this.signalingState === 'moving';
  }

  /** Whether the room is locked, or about to be. */
  get locked() {
    return this.#lockAsked ?? this.room.locked;
  }

  get sendsAudio() {
    return this.#options.devices.media.audio;
  }

  /** How many only watch, and for how many our upload is enough. */
  get viewers() {
    const count = this.participants.filter(({ info }) => info.role === 'viewer').length + this.audience.length;
    return { count, most: this.#upload.viewers };
  }

  /** Whether our own hand is raised. */
  get hand() {
    return this.#events.hand;
  }

  /** Our own reaction, while it is shown. */
  get reaction() {
    return this.#events.reaction;
  }

  enter() {
    this.#signaling.connect();
    this.#upload.start();
  }

  /** To be called when the network may be another one than before: no way through the old one is waited for. */
  networkChanged() {
    this.#signaling.reconnect();
    for (const { link } of this.participants) link.restartIce(true);
  }

  leave() {
    if (this.#ended) return;
    this.#end();
    this.#signaling.bye();
  }

  /** Ends it here, and leaves our place in the room to a later page. */
  suspend() {
    if (this.#ended) return;
    this.#end();
    this.#signaling.suspend();
  }

  /** To be called whenever a device of ours changed. */
  devicesChanged() {
    for (const { link } of this.participants) this.#sendMedia(link);
    this.#tellMedia();
    this.#options.onChange();
  }

  /** To be called whenever the preferences changed. */
  preferencesChanged() {
    this.#events.tellPresence();
    for (const { link } of this.participants) link.setCodec(this.#options.preferences().codec);
    this.#upload.share();
  }

  /**
   * Says it to everybody: over the data channel, or through the server where that is not open.
   * @param {string} input
   * @returns {number} in how many messages, as long texts are divided
   */
  sendChat(input) {
    const count = this.#conversation.send(input);
    this.#options.onChange();
    return count;
  }

  /**
   * Offers a file to everybody who can take files.
   * @param {Source} source
   * @returns {number} to how many
   */
  sendFile(source) {
    const takers = this.participants.filter(({ files }) => files.open);
    for (const { files } of takers) files.offer(source);
    return takers.length;
  }

  /** @param {boolean} raised */
  raiseHand(raised) {
    this.#events.raiseHand(raised);
    this.#options.onChange();
  }

  /** @param {Reaction} reaction */
  react(reaction) {
    this.#events.react(reaction);
  }

  /**
   * For hosts. What is refused is told by a notice.
   * @param {ModerateAction} action
   * @param {string} [peer] whom to kick or mute
   */
  moderate(action, peer) {
    if (action === 'lock' || action === 'unlock') this.#lockAsked = action === 'lock';
    this.#signaling.send({ type: 'moderate', action, ...(peer !== undefined && { peer }) });
  }

  /** @param {InMessage} message */
  #receive(message) {
    if (this.#ended) return;
    this.#handle(message);
    this.#options.onChange();
  }

  /** @param {InMessage} message */
  #handle(message) {
    switch (message.type) {
      case 'welcome':
        return this.#welcomed(message);
      case 'peer_joined':
        return this.#people.joined(message.peer) ? this.#joined(message.peer) : undefined;
      case 'peer_updated':
        return message.peer.peer === this.selfId ? this.#selfUpdated(message.peer) : this.#people.updated(message.peer);
      case 'peer_left':
        return this.#people.left(message);
      case 'signal':
        return this.#people.signalled(message);
      case 'chat':
        return this.#conversation.takeFromServer(message.from, message);
      case 'event': {
        const from = this.#people.get(message.from);
        if (from && message.name === 'chat') return this.#conversation.takeFromServer(from.id, message.data ?? {});
        return from && this.#events.receive(from, message);
      }
      case 'ice_servers':
        this.#people.setIceServers(message.ice_servers);
        return message.reason === 'relay_lost' ? this.#people.relayLost() : this.#people.findWays();
      case 'room_updated':
        if (message.locked !== this.room.locked) this.#options.onNotice({ kind: 'locked', locked: message.locked });
        this.room.locked = message.locked;
        this.#lockAsked = null;
        return undefined;
      default:
        return undefined;
    }
  }

  /** @param {PeerInfo} info */
  #joined({ name }) {
    this.#options.onNotice({ kind: 'joined', name: cleanName(name) });
  }

  /** @param {Welcome} welcome */
  #welcomed(welcome) {
    const { room } = welcome;
    const isFirst = !this.entered;
    if (this.entered && this.attempts > 0) this.#options.onNotice({ kind: 'back' });
    this.entered = true;
    this.attempts = 0;
    this.selfId = welcome.peer;
    this.role = welcome.role ?? this.role;
    this.#people.watching = this.watching;
    this.room = { name: room.name, locked: room.locked, capacity: room.capacity };
    this.#people.setIceServers(welcome.ice_servers);
    if (!welcome.resumed) return this.#people.entered(room.peers);
    this.#people.resumed(room.peers, isFirst && this.#options.restored);
    if (isFirst) {
      // The others have heard of the devices of the page before.
      this.#toldMedia = '';
      this.#tellMedia();
    }
    return this.#people.findWays();
  }

  /**
   * What became of something that we sent through the server.
   * @param {Outcome} outcome
   */
  #settled(outcome) {
    this.#conversation.settled(outcome);
    if (this.#ended || 'delivered' in outcome) return;
    if ('refused' in outcome && outcome.message.type === 'moderate') {
      this.#lockAsked = null;
      this.#options.onNotice({ kind: 'refused', code: outcome.refused });
    }
    this.#options.onChange();
  }

  /**
   * What the server says about us: that we are host now, or that a host has muted us.
   * @param {PeerInfo} info
   */
  #selfUpdated({ role, media }) {
    const { devices, onNotice } = this.#options;
    if (role !== this.role) {
      this.role = role;
      if (role === 'host') onNotice({ kind: 'host' });
    } else if (!media.audio && devices.media.audio) {
      devices.setMuted(true);
      onNotice({ kind: 'muted' });
    }
  }

  /**
   * Said first: it must arrive before our first description.
   * @param {Participant} participant
   */
  #introduce(participant) {
    const { link } = participant;
    this.#events.introduce(participant);
    link.setCodec(this.#options.preferences().codec);
    this.#sendMedia(link);
  }

  /** @param {import('./link.js').Link} link */
  #sendMedia(link) {
    const { stream, screenStream, tracks, screenAudio } = this.#options.devices;
    // The server takes no offer of media from those who only watch.
    const sent = this.watching ? { microphone: null, camera: null, screen: null, screenAudio: null } : { ...tracks, screenAudio };
    link.setOutgoing({ stream, screenStream, tracks: sent });
  }

  #tellMedia() {
    const { media } = this.#options.devices;
    const told = JSON.stringify(media);
    if (told === this.#toldMedia) return;
    this.#toldMedia = told;
    this.#signaling.send({ type: 'update', media });
  }

  /** @param {ChatMessage} message */
  #chatted(message) {
    if (this.#ended) return;
    this.#options.onNotice({ kind: 'chat', message });
    this.#options.onChange();
  }

  /**
   * @param {SignalingState} state
   * @param {string} [refusal]
   */
  #signalingChanged(state, refusal) {
    this.signalingState = state;
    if (!this.hasSignaling) this.#lockAsked = null;
    if (state === 'waiting') this.attempts += 1;
    if (refusal) {
      this.refusal = refusal;
      this.#end();
    }
    this.#options.onChange();
  }

  #end() {
    this.#ended = true;
    this.#upload.end();
    this.#people.close();
  }
}
