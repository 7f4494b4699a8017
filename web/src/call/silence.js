// Whether a way that carried packets still carries any, told by the browser's statistics seconds before the browser says so. Pure.

import { selectedPair } from './path.js';

/** @typedef {{pair: string, count: number, lastAt: number | null, at: number}} Heard */

/** After this long without a packet, where media had come, the way is taken for broken, in milliseconds. */
const MEDIA_LIMIT_MS = 1800;
/** The same where little comes and the other side has been asked for an answer once a second. */
const ASKED_LIMIT_MS = 4500;
/** The same where it can't be asked: browsers check a way every 2.5 s. */
const CHECKS_LIMIT_MS = 9000;
/** Who was asked has so long to answer, in milliseconds: media may end by itself, and looks may come late. */
const ANSWER_MS = 600;
/** Less than sound takes, in bytes a second. */
const MEDIA_RATE = 1500;
/** So many looks in a row with new packets make a flow: of media, or of anything. */
const STEADY_LOOKS = 3;
/** Looks further apart than this tell nothing, in milliseconds: the whole program may have stood still between them. */
const GAP_MS = 3000;

/**
 * What the selected pair has received so far: bytes, and checks with their answers. All times are milliseconds since 1970, by the clock
 * of the statistics: a page whose timers are late has not heard less.
 * @param {Iterable<any>} report the values of an RTCStatsReport
 * @returns {Heard | null} null while no pair is selected
 */
export function readHeard(report) {
  const pair = selectedPair(new Map([...report].map((entry) => [entry.id, entry])));
  if (!pair) return null;
  const { id, timestamp, bytesReceived = 0, responsesReceived = 0, requestsReceived = 0, lastPacketReceivedTimestamp = null } = pair;
  return { pair: id, count: bytesReceived + responsesReceived + requestsReceived, lastAt: lastPacketReceivedTimestamp, at: timestamp };
}

export class Silence {
  /** @type {Heard | null} */ #last = null;
  #heardAt = 0;
  /** When the other side was asked first in this silence. @type {number | null} */ #askedAt = null;
  /** Looks with new packets since the pair was selected. */ #looks = 0;
  /** The same in a row, each with as many as media take. */ #media = 0;

  /**
   * A look at the connection.
   * @param {Heard | null} heard
   * @returns {number} for how many milliseconds nothing has come, 0 where nothing steady had come before
   */
  look(heard) {
    const last = this.#last;
    this.#last = heard;
    if (!heard || heard.pair !== last?.pair) {
      this.#heardAt = heard?.at ?? 0;
      this.#looks = this.#media = 0;
      return 0;
    }
    const passed = heard.at - last.at;
    if (heard.count !== last.count) {
      const { lastAt, at } = heard;
      this.#heardAt = lastAt !== null && lastAt > last.at && lastAt < at ? lastAt : at;
      this.#looks += 1;
      this.#media = (heard.count - last.count) * 1000 >= MEDIA_RATE * passed ? this.#media + 1 : 0;
    } else if (passed > GAP_MS) {
      this.#heardAt = heard.at;
    }
    return this.#looks >= STEADY_LOOKS ? heard.at - this.#heardAt : 0;
  }

  /**
   * How much longer it may be, in milliseconds.
   * @param {number} silentMs as `look` has told
   * @param {boolean} isAsked whether the other side has been asked for answers meanwhile
   */
  remainingMs(silentMs, isAsked) {
    const at = this.#last?.at ?? 0;
    this.#askedAt = isAsked ? (this.#askedAt ?? at) : null;
    const answerMs = this.#askedAt === null ? 0 : this.#askedAt + ANSWER_MS - at;
    return Math.max(this.limitMs(isAsked) - silentMs, answerMs);
  }

  /**
   * How long it may be at least.
   * @param {boolean} isAsked
   */
  limitMs(isAsked) {
    if (this.#media >= STEADY_LOOKS) return MEDIA_LIMIT_MS;
    return isAsked ? ASKED_LIMIT_MS : CHECKS_LIMIT_MS;
  }
}
