// Repeatable chance and time.

/**
 * Numbers between 0 and 1 from a seed (mulberry32).
 * @param {number} seed
 */
export function seeded(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A clock that stands still until told to go on. */
export class FakeClock {
  #now = 0;
  #last = 0;
  /** @type {Map<number, {at: number, callback: () => void}>} */ #timers = new Map();

  now = () => this.#now;

  /**
   * @param {() => void} callback
   * @param {number} delay
   */
  setTimeout = (callback, delay) => {
    this.#last += 1;
    this.#timers.set(this.#last, { at: this.#now + delay, callback });
    return this.#last;
  };

  /** @param {number} timer */
  clearTimeout = (timer) => {
    this.#timers.delete(timer);
  };

  /** How long until each timer, in milliseconds. */
  get pending() {
    return [...this.#timers.values()].map(({ at }) => at - this.#now);
  }

  /**
   * Runs what is due within `duration` milliseconds, in order.
   * @param {number} duration
   */
  advance(duration) {
    const end = this.#now + duration;
    for (;;) {
      const due = [...this.#timers].filter(([, { at }]) => at <= end).sort(([, a], [, b]) => a.at - b.at)[0];
      if (!due) break;
      this.#timers.delete(due[0]);
      this.#now = due[1].at;
      due[1].callback();
    }
    this.#now = end;
  }
}
