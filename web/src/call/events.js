// What people tell each other besides media and words, by application events: which stream is their screen, whose hand is
// raised, reactions, and who wants little to be sent.

import { PRESENCE_EVENT, REACTION_EVENT, REACTION_MS, noPresence, readPresence, readReaction } from './gestures.js';

/** @import { Clock, InEvent, OutMessage } from '../protocol/types.js' */
/** @import { Devices } from './devices.js' */
/** @import { Reaction } from './gestures.js' */
/** @import { Participant } from './participant.js' */

/** Tells, before anything is negotiated, who is calling and which stream is the screen. */
const STREAMS_EVENT = 'streams';

/**
 * What people should hear about at once.
 * @typedef {{kind: 'hand', name: string} | {kind: 'reaction', name: string, reaction: Reaction}} GestureNotice
 *
 * @typedef {object} EventOptions
 * @property {(message: OutMessage) => unknown} send through the server
 * @property {Devices} devices
 * @property {() => {low: boolean}} preferences
 * @property {string} instance unguessable; the same for all sessions of this page, so that others know it again
 * @property {(participant: Participant, instance: string) => void} onInstance somebody told theirs
 * @property {() => void} onAppetite somebody wants more or less to be sent to them than before
 * @property {() => void} onChange
 * @property {(notice: GestureNotice) => void} onNotice
 * @property {Clock} clock
 */

export class Events {
  #options;
  /** Whether our own hand is raised. */ hand = false;
  /** Our own reaction, while it is shown. @type {Reaction | null} */ reaction = null;

  /** @param {EventOptions} options */
  constructor(options) {
    this.#options = options;
  }

  /**
   * To be called before our first description goes out to somebody.
   * @param {string} to
   */
  introduce(to) {
    const { send, instance, devices, preferences } = this.#options;
    send({ type: 'event', name: STREAMS_EVENT, data: { instance, screen: devices.screenStream.id }, to });
    const { low } = preferences();
    if (this.hand || low) send({ type: 'event', name: PRESENCE_EVENT, data: { hand: this.hand, low }, to });
  }

  /** Tells everybody about us what holds now. */
  tellPresence() {
    const { low } = this.#options.preferences();
    this.#options.send({ type: 'event', name: PRESENCE_EVENT, data: { hand: this.hand, low } });
  }

  /** @param {boolean} raised */
  raiseHand(raised) {
    this.hand = raised;
    this.tellPresence();
  }

  /** @param {Reaction} reaction */
  react(reaction) {
    this.#options.send({ type: 'event', name: REACTION_EVENT, data: { reaction } });
    this.#show(this, reaction);
  }

  /**
   * @param {Participant} participant who told it
   * @param {InEvent} event
   */
  receive(participant, { name, data }) {
    if (name === STREAMS_EVENT) this.#streamsTold(participant, data);
    if (name === PRESENCE_EVENT) this.#presenceTold(participant, data);
    const reaction = name === REACTION_EVENT ? readReaction(data) : null;
    if (!reaction) return;
    this.#options.onNotice({ kind: 'reaction', name: participant.name, reaction });
    this.#show(participant, reaction);
  }

  /**
   * @param {Participant} participant
   * @param {unknown} data
   */
  #streamsTold(participant, data) {
    if (data === null || typeof data !== 'object') return;
    const { instance, screen } = /** @type {Record<string, unknown>} */ (data);
    if (typeof screen === 'string') participant.link.setScreenStreamId(screen);
    if (typeof instance === 'string') this.#options.onInstance(participant, instance);
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
    if (participant.presence.low !== before.low) this.#options.onAppetite();
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
}
