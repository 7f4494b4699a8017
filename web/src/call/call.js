// A call: everybody in the room, the link to each, chat, and what happens when signaling comes and goes.
// No DOM.

import { cleanName } from '../protocol/room.js';
import { chatText } from './chat.js';
import { parseObject } from './echo.js';
import { FileExchange } from './files/exchange.js';
import { browserIceServers } from './ice_servers.js';
import { Link } from './link.js';
import { Participant } from './participant.js';

/** @import { Clock, IceServer, InMessage, Media, OutMessage, PeerInfo, PeerLeft, Welcome } from '../protocol/types.js' */
/** @import { SignalingState } from '../protocol/signaling.js' */
/** @import { ChatMessage } from './chat.js' */
/** @import { Devices } from './devices.js' */
/** @import { Source } from './files/outgoing.js' */
/** @import { Hash } from './files/transfer.js' */

/** How often paths and quality are read, in milliseconds. */
const STATISTICS_INTERVAL_MS = 1000;

/** Application event that tells, before anything is negotiated, who is calling and which stream is the screen. */
const STREAMS_EVENT = 'streams';

/**
 * What people should hear about at once.
 * @typedef {{kind: 'joined', name: string} | {kind: 'left', name: string} | {kind: 'back'} | {kind: 'chat', message: ChatMessage}
 *   | {kind: 'file', name: string, file: string}} Notice
 *
 * What a call needs of the signaling client.
 * @typedef {{send: (message: OutMessage) => boolean, connect: () => void, bye: () => void}} Signaling
 *
 * @typedef {object} CallOptions
 * @property {(handlers: {onMessage: (message: InMessage) => void,
 *   onState: (state: SignalingState, refusal?: string) => void}) => Signaling} createSignaling
 * @property {(configuration: RTCConfiguration) => RTCPeerConnection} createConnection
 * @property {() => MediaStream} newStream
 * @property {Devices} devices
 * @property {boolean} relayOnly
 * @property {string} instance unguessable; the same for all sessions of this page, so that others know it again
 * @property {() => string} newId
 * @property {() => Promise<Hash>} newHash SHA-256
 * @property {() => void} onChange
 * @property {(notice: Notice) => void} onNotice
 * @property {Clock} clock
 */

export class Call {
  #options;
  #signaling;
  /** @type {Map<string, Participant>} */ #participants = new Map();
  /** @type {IceServer[]} */ #iceServers = [];
  /** @type {number | undefined} */ #statisticsTimer;
  #ended = false;
  #toldMedia = '';

  /** @type {SignalingState} */ signalingState = 'waiting';
  /** Whether the room has been entered at least once. */ entered = false;
  /** Connections that failed since the room was last entered. */ attempts = 0;
  /** Why the server refused for good. @type {string | null} */ refusal = null;
  /** @type {ChatMessage[]} */ chat = [];
  selfId = '';
  room = { name: '', locked: false, capacity: 0 };

  /** @param {CallOptions} options */
  constructor(options) {
    this.#options = options;
    this.#signaling = options.createSignaling({
      onMessage: (message) => this.#receive(message),
      onState: (state, refusal) => this.#signalingChanged(state, refusal),
    });
  }

  /** Everybody else, those who were there first first. */
  get participants() {
    return [...this.#participants.values()];
  }

  enter() {
    this.#signaling.connect();
    this.#scheduleStatistics();
  }

  /** Tries to reach the server now instead of waiting. */
  reconnect() {
    this.#signaling.connect();
  }

  leave() {
    if (this.#ended) return;
    this.#end();
    this.#signaling.bye();
  }

  /** To be called whenever a device of ours changed. */
  devicesChanged() {
    for (const participant of this.#participants.values()) this.#sendMedia(participant.link);
    this.#tellMedia();
    this.#options.onChange();
  }

  /**
   * Says it to everybody: over the data channel, or through the server where that is not open.
   * @param {string} input
   */
  sendChat(input) {
    const text = chatText(input);
    if (!text) return;
    const id = this.#options.newId();
    for (const { active, id: to } of this.#participants.values()) {
      if (!active.sendChat({ type: 'chat', id, text })) this.#signaling.send({ type: 'chat', text, to });
    }
    this.chat.push({ id, from: '', name: '', text, at: this.#options.clock.now() });
    this.#options.onChange();
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

  /** @param {InMessage} message */
  #receive(message) {
    if (this.#ended) return;
    switch (message.type) {
      case 'welcome':
        return this.#welcomed(message);
      case 'peer_joined':
        return this.#joined(message.peer, true);
      case 'peer_updated':
        return this.#updated(message.peer);
      case 'peer_left':
        return this.#left(message);
      case 'signal':
        return this.#participants.get(message.from)?.link.receive(message);
      case 'chat':
        return this.#chatted(message.from, String(message.id), message.text);
      case 'event':
        if (message.name === STREAMS_EVENT) this.#streamsTold(message.from, message.data);
        return undefined;
      case 'ice_servers':
        return this.#iceServersRenewed(message.ice_servers, message.reason === 'relay_lost');
      case 'room_updated':
        this.room.locked = message.locked;
        return this.#options.onChange();
      default:
        return undefined;
    }
  }

  /** @param {Welcome} welcome */
  #welcomed(welcome) {
    const { room } = welcome;
    if (this.entered && this.attempts > 0) this.#options.onNotice({ kind: 'back' });
    this.entered = true;
    this.attempts = 0;
    this.selfId = welcome.peer;
    this.room = { name: room.name, locked: room.locked, capacity: room.capacity };
    this.#iceServers = welcome.ice_servers;
    this.#toldMedia = '';
    if (!welcome.resumed) {
      const present = new Set(room.peers.map(({ peer }) => peer));
      for (const participant of this.participants) {
        if (!present.has(participant.id)) this.#lost(participant);
      }
      for (const info of room.peers) this.#joined(info, false);
    }
    this.#tellMedia();
    this.#options.onChange();
  }

  /**
   * A peer that was known already has not left, but we have come back to it as somebody new.
   * @param {PeerInfo} info
   * @param {boolean} announced
   */
  #joined(info, announced) {
    const known = this.#participants.get(info.peer);
    // Said first: it must arrive before our first description.
    const { screenStream } = this.#options.devices;
    const data = { instance: this.#options.instance, screen: screenStream.id };
    this.#signaling.send({ type: 'event', name: STREAMS_EVENT, data, to: info.peer });
    const link = this.#createLink(info);
    if (known) {
      known.info = info;
      this.#retire(known, known.link);
      known.link = link;
    } else {
      this.#participants.set(info.peer, new Participant(info, link, this.#createExchange(cleanName(info.name))));
      if (announced) this.#options.onNotice({ kind: 'joined', name: cleanName(info.name) });
    }
    this.#sendMedia(link);
    this.#options.onChange();
  }

  /** @param {PeerInfo} info */
  #updated(info) {
    const participant = this.#participants.get(info.peer);
    if (!participant) return;
    participant.info = info;
    this.#options.onChange();
  }

  /** @param {PeerLeft} message */
  #left({ peer, reason }) {
    const participant = this.#participants.get(peer);
    if (!participant) return;
    if (reason === 'timeout') this.#lost(participant);
    else this.#remove(participant);
  }

  /**
   * Signaling lost sight of them. While media flows they are still in the call.
   * @param {Participant} participant
   */
  #lost(participant) {
    if (participant.state !== 'connected') return this.#remove(participant);
    participant.info = { ...participant.info, state: 'away' };
    this.#options.onChange();
  }

  /** @param {Participant} participant */
  #remove(participant) {
    if (this.#participants.get(participant.id) !== participant) return;
    this.#participants.delete(participant.id);
    participant.close();
    this.#options.onNotice({ kind: 'left', name: participant.name });
    this.#options.onChange();
  }

  /**
   * Whoever came back after a loss is the same person on the screen, and the old link goes on until the
   * new one carries.
   * @param {string} from
   * @param {unknown} data
   */
  #streamsTold(from, data) {
    const participant = this.#participants.get(from);
    if (!participant || data === null || typeof data !== 'object') return;
    const { instance, screen } = /** @type {Record<string, unknown>} */ (data);
    if (typeof screen === 'string') participant.link.setScreenStreamId(screen);
    if (typeof instance !== 'string') return;
    participant.instance = instance;
    for (const other of this.participants) {
      if (other === participant || other.instance !== instance) continue;
      this.#participants.delete(other.id);
      participant.adoptFiles(other);
      this.#retire(participant, other.link);
      other.previous?.close();
    }
    this.#options.onChange();
  }

  /**
   * @param {Participant} participant
   * @param {Link} link
   */
  #retire(participant, link) {
    participant.previous?.close();
    participant.previous = link;
  }

  /** @param {string} name */
  #createExchange(name) {
    const { newHash, clock, onChange, onNotice } = this.#options;
    return new FileExchange({ newHash, clock, onChange, onOffer: (file) => onNotice({ kind: 'file', name, file }) });
  }

  /** @param {PeerInfo} info */
  #createLink(info) {
    const { createConnection, newStream, clock, relayOnly } = this.#options;
    const to = info.peer;
    const connection = createConnection({
      iceServers: browserIceServers(this.#iceServers),
      iceTransportPolicy: relayOnly ? 'relay' : 'all',
      bundlePolicy: 'max-bundle',
    });
    const link = new Link({
      connection,
      polite: info.polite,
      newStream,
      clock,
      send: (body) => this.#signaling.send({ type: 'signal', to, ...body }),
      onChange: () => this.#linkChanged(link),
      onChat: (data) => {
        const message = parseObject(data);
        if (message?.type === 'chat') this.#chatted(this.#ownerOf(link)?.id ?? to, String(message.id), message.text);
      },
      onFiles: () => this.#ownerOf(link)?.attachFiles(),
      onClosed: () => this.#linkClosed(link),
    });
    return link;
  }

  /** @param {Link} link */
  #ownerOf(link) {
    return this.participants.find((participant) => participant.link === link || participant.previous === link);
  }

  /** @param {Link} link */
  #linkChanged(link) {
    const owner = this.#ownerOf(link);
    if (owner?.link === link && link.state === 'connected' && owner.previous) {
      owner.previous.close();
      owner.previous = null;
    }
    if (owner?.away && link.state === 'failed') this.#linkClosed(link);
    this.#options.onChange();
  }

  /**
   * The other side hung up. While the server says they are here, they come back with a new offer or leave.
   * @param {Link} link
   */
  #linkClosed(link) {
    const owner = this.#ownerOf(link);
    if (!owner) return;
    if (owner.previous === link) {
      link.close();
      owner.previous = null;
    } else if (owner.away) {
      this.#remove(owner);
    }
    this.#options.onChange();
  }

  /** @param {Link} link */
  #sendMedia(link) {
    const { stream, screenStream, tracks, screenAudio } = this.#options.devices;
    link.setOutgoing({ stream, screenStream, tracks: { ...tracks, screenAudio } });
  }

  #tellMedia() {
    /** @type {Media} */
    const media = this.#options.devices.media;
    const told = JSON.stringify(media);
    if (told !== this.#toldMedia && this.#signaling.send({ type: 'update', media })) this.#toldMedia = told;
  }

  /**
   * @param {string} from
   * @param {string} id
   * @param {unknown} input
   */
  #chatted(from, id, input) {
    const text = chatText(input);
    const name = this.#participants.get(from)?.name;
    if (!text || name === undefined) return;
    const message = { id, from, name, text, at: this.#options.clock.now() };
    this.chat.push(message);
    this.#options.onNotice({ kind: 'chat', message });
    this.#options.onChange();
  }

  /**
   * @param {IceServer[]} iceServers
   * @param {boolean} relayLost
   */
  #iceServersRenewed(iceServers, relayLost) {
    this.#iceServers = iceServers;
    for (const participant of this.#participants.values()) {
      participant.link.setIceServers(browserIceServers(iceServers));
      if (relayLost && participant.relayed) participant.link.restartIce();
    }
  }

  /**
   * @param {SignalingState} state
   * @param {string} [refusal]
   */
  #signalingChanged(state, refusal) {
    this.signalingState = state;
    if (state === 'waiting') this.attempts += 1;
    if (refusal) {
      this.refusal = refusal;
      this.#end();
    }
    this.#options.onChange();
  }

  #scheduleStatistics() {
    this.#statisticsTimer = this.#options.clock.setTimeout(async () => {
      await Promise.allSettled(this.participants.map(({ active }) => active.updateStatistics()));
      if (this.#ended) return;
      this.#options.onChange();
      this.#scheduleStatistics();
    }, STATISTICS_INTERVAL_MS);
  }

  #end() {
    this.#ended = true;
    this.#options.clock.clearTimeout(this.#statisticsTimer ?? 0);
    for (const participant of this.#participants.values()) participant.close();
    this.#participants.clear();
  }
}
