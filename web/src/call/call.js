// A call: everybody in the room, chat, gestures, what hosts may do, and what happens when signaling comes and goes.
// No DOM.

import { cleanName } from '../protocol/room.js';
import { SendBudget } from './bandwidth.js';
import { Conversation } from './conversation.js';
import { parseObject } from './echo.js';
import { PRESENCE_EVENT, REACTION_EVENT, REACTION_MS, noPresence, readPresence, readReaction } from './gestures.js';
import { People } from './people.js';

/** @import { Clock, InEvent, InMessage, ModerateAction, OutMessage, PeerInfo, Role, Welcome } from '../protocol/types.js' */
/** @import { Outcome, SignalingState } from '../protocol/signaling.js' */
/** @import { ChatMessage } from './chat.js' */
/** @import { Devices } from './devices.js' */
/** @import { Source } from './files/outgoing.js' */
/** @import { Hash } from './files/transfer.js' */
/** @import { Reaction } from './gestures.js' */
/** @import { Participant } from './participant.js' */

/** How often paths and quality are read, in milliseconds. */
const STATISTICS_INTERVAL_MS = 1000;

/** Application event that tells, before anything is negotiated, who is calling and which stream is the screen. */
const STREAMS_EVENT = 'streams';

/**
 * What people should hear about at once.
 * @typedef {{kind: 'joined' | 'left' | 'hand', name: string} | {kind: 'back' | 'muted' | 'host'} | {kind: 'chat', message: ChatMessage}
 *   | {kind: 'file', name: string, file: string} | {kind: 'reaction', name: string, reaction: Reaction}
 *   | {kind: 'locked', locked: boolean} | {kind: 'refused', code: string}} Notice
 *
 * What a call needs of the signaling client.
 * @typedef {{send: (message: OutMessage) => number | null, readonly hasSession: boolean, connect: () => void, bye: () => void}} Signaling
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
  #people;
  #budget = new SendBudget();
  /** @type {number | undefined} */ #statisticsTimer;
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
  /** Whether our own hand is raised. */ hand = false;
  /** Our own reaction, while it is shown. @type {Reaction | null} */ reaction = null;

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
    this.#people = new People({
      ...options,
      // Without a session every link will be made anew, and what the old ones say would only confuse.
      sendSignal: (to, body) => this.#signaling.hasSession && this.#signaling.send({ type: 'signal', to, ...body }),
      onLink: (participant) => this.#introduce(participant),
      onChat: (participant, data) => {
        const message = parseObject(data);
        if (message?.type === 'chat') this.#chatted(participant.id, String(message.id), message.text);
      },
      onLeft: ({ name }) => options.onNotice({ kind: 'left', name }),
      onFile: (name, file) => options.onNotice({ kind: 'file', name, file }),
    });
    this.#conversation = new Conversation({
      ...options,
      people: this.#people,
      sendThroughServer: (text, to) => this.#signaling.send({ type: 'chat', text, to }),
    });
  }

  /** @type {ChatMessage[]} */
  get chat() {
    return this.#conversation.messages;
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

  get sendsAudio() {
    return this.#options.devices.media.audio;
  }

  /** How many only watch, and for how many our upload is enough. */
  get viewers() {
    const count = this.participants.filter(({ info }) => info.role === 'viewer').length + this.audience.length;
    return { count, most: this.#budget.viewers };
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
    for (const { link } of this.participants) this.#sendMedia(link);
    this.#tellMedia();
    this.#options.onChange();
  }

  /** To be called whenever the preferences changed. */
  preferencesChanged() {
    this.#tellPresence();
    for (const { link } of this.participants) link.setCodec(this.#options.preferences().codec);
    this.#limitSending();
  }

  /**
   * Says it to everybody: over the data channel, or through the server where that is not open.
   * @param {string} input
   */
  sendChat(input) {
    this.#conversation.send(input);
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

  /** @param {boolean} raised */
  raiseHand(raised) {
    this.hand = raised;
    this.#tellPresence();
    this.#options.onChange();
  }

  /** @param {Reaction} reaction */
  react(reaction) {
    this.#signaling.send({ type: 'event', name: REACTION_EVENT, data: { reaction } });
    this.#show(this, reaction);
  }

  /**
   * For hosts. What is refused is told by a notice.
   * @param {ModerateAction} action
   * @param {string} [peer] whom to kick or mute
   */
  moderate(action, peer) {
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
        if (this.#people.joined(message.peer)) this.#options.onNotice({ kind: 'joined', name: cleanName(message.peer.name) });
        return undefined;
      case 'peer_updated':
        return message.peer.peer === this.selfId ? this.#selfUpdated(message.peer) : this.#people.updated(message.peer);
      case 'peer_left':
        return this.#people.left(message);
      case 'signal':
        return this.#people.get(message.from)?.link.receive(message);
      case 'chat':
        return this.#chatted(message.from, String(message.id), message.text);
      case 'event':
        return this.#eventCame(message);
      case 'ice_servers':
        this.#people.setIceServers(message.ice_servers);
        return message.reason === 'relay_lost' ? this.#people.relayLost() : undefined;
      case 'room_updated':
        if (message.locked !== this.room.locked) this.#options.onNotice({ kind: 'locked', locked: message.locked });
        this.room.locked = message.locked;
        return undefined;
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
    this.role = welcome.role ?? this.role;
    this.#people.watching = this.watching;
    this.room = { name: room.name, locked: room.locked, capacity: room.capacity };
    this.#people.setIceServers(welcome.ice_servers);
    if (!welcome.resumed) return this.#people.entered(room.peers);
    this.#people.resumed(room.peers);
    return this.#people.findWays();
  }

  /**
   * What became of something that we sent through the server.
   * @param {Outcome} outcome
   */
  #settled(outcome) {
    this.#conversation.settled(outcome);
    if (this.#ended || 'delivered' in outcome) return;
    if ('refused' in outcome && outcome.message.type === 'moderate') this.#options.onNotice({ kind: 'refused', code: outcome.refused });
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
  #introduce({ id: to, link }) {
    const { instance, devices, preferences } = this.#options;
    this.#signaling.send({ type: 'event', name: STREAMS_EVENT, data: { instance, screen: devices.screenStream.id }, to });
    const { low, codec } = preferences();
    if (this.hand || low) this.#signaling.send({ type: 'event', name: PRESENCE_EVENT, data: { hand: this.hand, low }, to });
    link.setCodec(codec);
    this.#sendMedia(link);
  }

  /** @param {InEvent} event */
  #eventCame({ from, name, data }) {
    const participant = this.#people.get(from);
    if (!participant) return;
    if (name === STREAMS_EVENT) this.#streamsTold(participant, data);
    if (name === PRESENCE_EVENT) this.#presenceTold(participant, data);
    const reaction = name === REACTION_EVENT ? readReaction(data) : null;
    if (reaction) {
      this.#options.onNotice({ kind: 'reaction', name: participant.name, reaction });
      this.#show(participant, reaction);
    }
  }

  /**
   * @param {Participant} participant
   * @param {unknown} data
   */
  #streamsTold(participant, data) {
    if (data === null || typeof data !== 'object') return;
    const { instance, screen } = /** @type {Record<string, unknown>} */ (data);
    if (typeof screen === 'string') participant.link.setScreenStreamId(screen);
    if (typeof instance === 'string') this.#people.recognise(participant, instance);
    // What they had told is of a page that they may have left.
    participant.presence = noPresence();
  }

  /**
   * @param {Participant} participant
   * @param {unknown} data
   */
  #presenceTold(participant, data) {
    const before = participant.presence;
    participant.presence = readPresence(data);
    if (participant.presence.hand && !before.hand) this.#options.onNotice({ kind: 'hand', name: participant.name });
    if (participant.presence.low !== before.low) this.#limitSending();
  }

  /**
   * @param {{reaction: Reaction | null}} who
   * @param {Reaction} reaction
   */
  #show(who, reaction) {
    who.reaction = reaction;
    this.#options.onChange();
    this.#options.clock.setTimeout(() => {
      who.reaction = null;
      this.#options.onChange();
    }, REACTION_MS);
  }

  /** @param {import('./link.js').Link} link */
  #sendMedia(link) {
    const { stream, screenStream, tracks, screenAudio } = this.#options.devices;
    link.setOutgoing({ stream, screenStream, tracks: { ...tracks, screenAudio } });
  }

  #tellMedia() {
    const { media } = this.#options.devices;
    const told = JSON.stringify(media);
    if (told === this.#toldMedia) return;
    this.#toldMedia = told;
    this.#signaling.send({ type: 'update', media });
  }

  #tellPresence() {
    const { low } = this.#options.preferences();
    this.#signaling.send({ type: 'event', name: PRESENCE_EVENT, data: { hand: this.hand, low } });
  }

  /** Shares our upload among those whom we send to, as much as each of them wants. */
  #limitSending() {
    const { low } = this.#options.preferences();
    const { participants } = this;
    for (const { active, presence } of participants) {
      active.limitSending(this.#budget.limits({ recipients: participants.length, low: low || presence.low }));
    }
  }

  /**
   * @param {string} from
   * @param {string} id
   * @param {unknown} input
   */
  #chatted(from, id, input) {
    const message = this.#conversation.take(from, id, input);
    if (!message) return;
    this.#options.onNotice({ kind: 'chat', message });
    this.#options.onChange();
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
      // A connection that is still finding its pace is short of everything.
      const settled = this.participants.filter(({ active }) => active.history.quality !== null);
      this.#budget.look(settled.flatMap(({ active }) => active.history.latest?.sending ?? []));
      this.#limitSending();
      this.#options.onChange();
      this.#scheduleStatistics();
    }, STATISTICS_INTERVAL_MS);
  }

  #end() {
    this.#ended = true;
    this.#options.clock.clearTimeout(this.#statisticsTimer ?? 0);
    this.#people.close();
  }
}
