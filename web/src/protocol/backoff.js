// How long to wait before the next connection. All times are milliseconds.

/** Before the first attempt. */
const FIRST_MS = 250;
/** Before any attempt. */
const LONGEST_MS = 5000;

/**
 * How long attempts in a row may take until their WebSocket is open. Where a network swallows everything, a new attempt notices first that
 * it is back, as systems repeat the beginning of a connection ever more seldom; a slow network gets the time that it needs by and by.
 */
const OPEN_DEADLINES_MS = [2000, 2000, 4000, 10_000];

/** Doubles from attempt to attempt, unless the server asks for something else. */
export class Backoff {
  #attempt = 0;
  /** Attempts whose WebSocket was not open in time, since the last `welcome`. */ #swallowed = 0;
  /** @type {number | undefined} */ #asked;

  /** The server has welcomed this client. */
  reset() {
    this.#attempt = 0;
    this.#swallowed = 0;
    this.#asked = undefined;
  }

  /**
   * The server asks for a wait; it holds for the next attempt.
   * @param {number | undefined} wait
   */
  ask(wait) {
    this.#asked = wait ?? this.#asked;
  }

  /** How long the next attempt may take until its WebSocket is open. */
  get openDeadlineMs() {
    return OPEN_DEADLINES_MS[this.#swallowed % OPEN_DEADLINES_MS.length];
  }

  /**
   * The wait after an attempt whose WebSocket was not open in time: no server had work with it, so it does not grow.
   * @param {number} random between 0 and 1
   */
  afterSwallowed(random) {
    this.#swallowed += 1;
    return this.#take(FIRST_MS, random);
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
    return this.#take(doubled, random);
  }

  /**
   * @param {number} most
   * @param {number} random
   */
  #take(most, random) {
    const wait = this.#asked ?? most * (0.5 + random / 2);
    this.#asked = undefined;
    return wait;
  }
}
