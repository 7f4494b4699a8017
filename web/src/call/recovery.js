// When a link looks for another way: at once where there is something new, and ever more seldom where trying alone does not help. Pure.

/** @import { Clock } from '../protocol/types.js' */

/** Pauses after attempts that nothing new has caused, in milliseconds; the last one repeats. */
const PAUSES_MS = [5000, 10_000, 20_000];
/** News of one event come from several sides: within this time one attempt is enough, in milliseconds. */
const NEWS_MS = 1500;
/** A way that has carried for so long ends the series of attempts, in milliseconds. */
const GOOD_MS = 10_000;

/**
 * @typedef {object} RecoveryOptions
 * @property {Clock} clock
 * @property {() => boolean} may whether the other side can hear of an attempt; when it can again, that is news
 * @property {() => boolean} isBroken whether the way still does not carry, and the browser looks for no other one
 * @property {(isUrgent: boolean) => void} restart
 */

export class Recovery {
  #options;
  #attempts = 0;
  /** Of the last attempt. */ #at = -Infinity;
  /** @type {number | null} */ #goodSince = null;
  /** @type {number | undefined} */ #timer;

  /** @param {RecoveryOptions} options */
  constructor(options) {
    this.#options = options;
  }

  /** The way is broken. */
  broken() {
    const now = this.#options.clock.now();
    if (this.#goodSince !== null && now - this.#goodSince >= GOOD_MS) this.#attempts = 0;
    this.#goodSince = null;
    this.#schedule(this.#attempts > 0 ? this.#at + this.#pause - now : 0);
  }

  /** The way carries. */
  good() {
    this.close();
    this.#goodSince ??= this.#options.clock.now();
  }

  /**
   * Another way may be there, of which nothing was known at the last attempt.
   * @param {boolean} [isUrgent] whether only this side knows of it
   */
  news(isUrgent = false) {
    const passed = this.#options.clock.now() - this.#at;
    if (!isUrgent && passed >= 0 && passed < NEWS_MS) return;
    this.#attempts = 0;
    this.#attempt(isUrgent);
  }

  close() {
    this.#options.clock.clearTimeout(this.#timer ?? 0);
  }

  get #pause() {
    return PAUSES_MS[Math.min(this.#attempts, PAUSES_MS.length) - 1];
  }

  /** @param {number} waitMs */
  #schedule(waitMs) {
    this.close();
    // A computer's clock may be set back.
    if (waitMs <= 0 || waitMs > this.#pause) return this.#attempt(false);
    this.#timer = this.#options.clock.setTimeout(() => this.#options.isBroken() && this.#attempt(false), waitMs);
  }

  /** @param {boolean} isUrgent */
  #attempt(isUrgent) {
    const { clock, may, restart } = this.#options;
    this.close();
    if (!may()) return;
    this.#at = clock.now();
    this.#attempts += 1;
    restart(isUrgent);
    this.#schedule(this.#pause);
  }
}

/**
 * What does something at most once within a time, in milliseconds.
 * @param {Clock} clock
 * @param {number} pauseMs
 * @param {() => void} act
 */
export function paced(clock, pauseMs, act) {
  let at = -Infinity;
  return () => {
    const now = clock.now();
    if (Math.abs(now - at) < pauseMs) return;
    at = now;
    act();
  };
}
