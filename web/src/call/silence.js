// Whether a way that carried packets still carries any, told by the browser's statistics seconds before the browser itself says so. Pure.

import { selectedPair } from './path.js';

/** @typedef {{pair: string, count: number, lastAt: number | null, at: number}} Heard */

/** After this long without a packet, where they had come steadily, the way is taken for broken, in milliseconds. */
export const SILENCE_LIMIT_MS = 1800;
/** So many looks in a row, each with new packets, are a steady flow. A call without media hears something every few seconds only. */
const STEADY_LOOKS = 3;

/**
 * What the selected pair has received so far: packets, and answers to its checks. All times are milliseconds since 1970, by the clock of
 * the statistics: a page whose timers are late has not heard less.
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
  #pair = '';
  #count = 0;
  #heardAt = 0;
  #steady = 0;

  /**
   * A look at the connection.
   * @param {Heard | null} heard
   * @returns {number} for how many milliseconds nothing has come, 0 where nothing steady had come before
   */
  look(heard) {
    if (!heard || heard.pair !== this.#pair) {
      this.#pair = heard?.pair ?? '';
      this.#count = heard?.count ?? 0;
      this.#heardAt = heard?.at ?? 0;
      this.#steady = 0;
      return 0;
    }
    if (heard.count === this.#count) {
      if (this.#steady >= STEADY_LOOKS) return heard.at - this.#heardAt;
      this.#steady = 0;
      return 0;
    }
    this.#count = heard.count;
    this.#heardAt = Math.max(this.#heardAt, heard.lastAt ?? heard.at);
    this.#steady += 1;
    return this.#steady >= STEADY_LOOKS ? heard.at - this.#heardAt : 0;
  }
}
