// The lines of one sender in their order, each once: they come by two ways, of which one may be much later. Pure.

/** @import { Clock } from '../protocol/types.js' */

/** How long a line waits for an earlier one, in milliseconds. */
const PATIENCE_MS = 1000;
/** More do not wait. */
const MOST_HELD = 100;
/** How many numbers are remembered. */
const REMEMBERED = 500;

/** @template T */
export class Order {
  #clock;
  #show;
  /** @type {number | null} */ #next = null;
  /** @type {Map<number, T>} */ #held = new Map();
  /** @type {Set<number>} */ #seen = new Set();
  /** @type {number | undefined} */ #timer;

  /**
   * @param {Clock} clock
   * @param {(line: T) => void} show
   */
  constructor(clock, show) {
    this.#clock = clock;
    this.#show = show;
  }

  /**
   * @param {number} n counts the sender's lines
   * @param {T} line
   */
  take(n, line) {
    if (this.#seen.has(n)) return;
    this.#seen.add(n);
    for (const old of this.#seen) {
      if (this.#seen.size <= REMEMBERED) break;
      this.#seen.delete(old);
    }
    this.#next ??= n;
    // What nobody waits for any more comes when it comes.
    if (n < this.#next) return this.#show(line);
    this.#held.set(n, line);
    this.#drain();
    if (this.#held.size > MOST_HELD) return this.#giveUp();
    if (this.#held.size > 0) this.#timer ??= this.#clock.setTimeout(() => this.#giveUp(), PATIENCE_MS);
  }

  #drain() {
    while (this.#next !== null && this.#held.has(this.#next)) {
      const line = /** @type {T} */ (this.#held.get(this.#next));
      this.#held.delete(this.#next);
      this.#next += 1;
      this.#show(line);
    }
    if (this.#held.size > 0) return;
    this.#clock.clearTimeout(this.#timer ?? 0);
    this.#timer = undefined;
  }

  /** The earliest that is there is the next one. */
  #giveUp() {
    this.#timer = undefined;
    while (this.#held.size > 0) {
      this.#next = Math.min(...this.#held.keys());
      this.#drain();
    }
  }
}
