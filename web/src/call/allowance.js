// How much of something somebody may have: a burst, and after that so much each second. What comes over a data channel passes
// no server that would see to it.

/** @import { Clock } from '../protocol/types.js' */

export class Allowance {
  #burst;
  #perSecond;
  #clock;
  #left;
  #at;

  /**
   * @param {{burst: number, perSecond: number}} of
   * @param {Clock} clock
   */
  constructor({ burst, perSecond }, clock) {
    this.#burst = burst;
    this.#perSecond = perSecond;
    this.#clock = clock;
    this.#left = burst;
    this.#at = clock.now();
  }

  /** Whether one more is within it. */
  take() {
    const now = this.#clock.now();
    // A computer's clock may be set back.
    const passed = Math.max(0, now - this.#at) / 1000;
    this.#at = now;
    this.#left = Math.min(this.#burst, this.#left + passed * this.#perSecond);
    if (this.#left < 1) return false;
    this.#left -= 1;
    return true;
  }
}
