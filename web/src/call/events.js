// What people tell each other besides media and words, by application events: which stream is their screen, whose hand is
// raised, reactions, and who wants little to be sent.

import { PRESENCE_EVENT, REACTION_EVENT, REACTION_MS, noPresence, readPresence, readReaction } from './gestures.js';

/** @import { Clock, InEvent, OutMessage } from '../protocol/types.js' */
/** @import { Devices } from './devices.js' */
/** @import { Identity } from './identity.js' */
/** @import { Reaction } from './gestures.js' */
/** @import { Participant } from './participant.js' */

/** Tells, before anything is negotiated, which stream is the screen. */
const STREAMS_EVENT = 'streams';
/** Tells which page it is, so that others know it again in its next session. */
const PAGE_EVENT = 'page';

/**
 * What people should hear about at once.
 * @typedef {{kind: 'hand', name: string} | {kind: 'reaction', name: string, reaction: Reaction}} GestureNotice
 *
 * @typedef {object} EventOptions
 * @property {(message: OutMessage) => unknown} send through the server
 * @property {Devices} devices
 * @property {() => {low: boolean}} preferences
 * @property {Identity} identity the same for all sessions of this page
 * @property {() => string} selfId who we are in this session
 * @property {(participant: Participant, page: string) => void} onPage somebody has proven which page theirs is
 * @property {(participant: Participant) => void} onOtherPage somebody is in the same session on another page, which knows nothing of
 *   the link to the one before
 * @property {(participant: Participant) => void} onOtherLink somebody has made another link to us, as the one that was there was broken
 * @property {() => void} onAppetite somebody wants more or less to be sent to them than before
 * @property {() => void} onChange
 * @property {(notice: GestureNotice) => void} onNotice
 * @property {Clock} clock
 */

export class Events {
  #options;
  /** When reactions end, by whose they are. @type {WeakMap<object, number>} */ #timers = new WeakMap();
  /** Whether our own hand is raised. */ hand = false;
  /** Our own reaction, while it is shown. @type {Reaction | null} */ reaction = null;

  /** @param {EventOptions} options */
  constructor(options) {
    this.#options = options;
  }

  /**
   * To be called before our first description goes out to somebody.
   * @param {Participant} participant
   */
  introduce({ id: to, linkNumber }) {
    const { send, devices, preferences } = this.#options;
    send({ type: 'event', name: STREAMS_EVENT, data: { screen: devices.screenStream.id, link: linkNumber }, to });
    void this.#tellPage(to);
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
    if (name === PAGE_EVENT) void this.#pageTold(participant, data);
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
    const { screen, link } = /** @type {Record<string, unknown>} */ (data);
    // Said before they heard of another link.
    if (typeof link === 'number' && link < participant.linkNumber && participant.stale) return;
    if (typeof screen === 'string') {
      // Only who was away or has hung up can be another page: others must not have links made at will.
      const isOther = participant.screen !== null && participant.screen !== screen && (participant.hungUp || participant.wasAway);
      participant.screen = screen;
      this.#linkTold(participant, link, isOther);
      if (isOther) this.#options.onOtherPage(participant);
      participant.link.setScreenStreamId(screen);
    }
    participant.wasAway = false;
    participant.introduced = true;
    // What they had told is of a page that they may have left.
    participant.presence = noPresence();
  }

  /**
   * Who counts links as well has made another one if the number is higher than ours.
   * @param {Participant} participant
   * @param {unknown} link
   * @param {boolean} isOther whether they are on another page, which counts anew
   */
  #linkTold(participant, link, isOther) {
    participant.numbered = typeof link === 'number';
    const number = typeof link === 'number' && Number.isSafeInteger(link) ? link : 0;
    if (isOther) participant.linkNumber = number;
    else if (number > participant.linkNumber && participant.remakes.take()) {
      participant.linkNumber = number;
      this.#options.onOtherLink(participant);
    }
  }

  /** @param {string} to */
  async #tellPage(to) {
    const { identity, selfId, send } = this.#options;
    const data = await identity.introduce(selfId(), to).catch(() => null);
    if (data) send({ type: 'event', name: PAGE_EVENT, data, to });
  }

  /**
   * @param {Participant} participant
   * @param {unknown} data
   */
  async #pageTold(participant, data) {
    const { identity, selfId, onPage } = this.#options;
    const page = await identity.recognise(data, participant.id, selfId()).catch(() => null);
    if (page !== null) onPage(participant, page);
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
    const { clock, onChange } = this.#options;
    who.reaction = reaction;
    onChange();
    // The one before must not end this one.
    clock.clearTimeout(this.#timers.get(who) ?? 0);
    const end = () => {
      who.reaction = null;
      onChange();
    };
    this.#timers.set(who, clock.setTimeout(end, REACTION_MS));
  }
}
