// How long to wait before the next connection. All times are milliseconds.

/** Before the first attempt. */
const FIRST_MS = 250;
/** Before any attempt. */
const LONGEST_MS = 5000;

/** Doubles from attempt to attempt, unless the server asks for something else. */
export class Backoff {
  #attempt = 0;
  /** @type {number | undefined} */ #asked;

  /** The server has welcomed this client. */
  reset() {
    this.#attempt = 0;
    this.#asked = undefined;
  }

  /**
   * The server asks for a wait; it holds for the next attempt.
   * @param {number | undefined} wait
   */
  ask(wait) {
    this.#asked = wait ?? this.#asked;
  }

  /**
   * The next wait. Chance takes up to half of it away, so that the clients of a restarted server do not all return at
   * once; what the server asks for is spread already.
   * @param {number} random between 0 and 1
   */
  next(random) {
    // The exponent is capped because 2 ** 1024 is Infinity.
    const doubled = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(this.#attempt, 16));
    this.#attempt += 1;
    const wait = this.#asked ?? doubled * (0.5 + random / 2);
    this.#asked = undefined;
    return wait;
  }
}
