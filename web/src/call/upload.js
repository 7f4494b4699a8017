// Looks every second how the connections fare, and shares our upload among those whom we send to.

/** @import { SendBudget } from './bandwidth.js' */
/** @import { Clock } from '../protocol/types.js' */
/** @import { Devices } from './devices.js' */
/** @import { Participant } from './participant.js' */

/** How often paths and quality are read, in milliseconds. */
const STATISTICS_INTERVAL_MS = 1000;
/** For how many viewers an upload is enough of which nothing is known. */
const USUAL_VIEWERS = 12;

/**
 * @typedef {object} UploadOptions
 * @property {() => Participant[]} participants
 * @property {() => {low: boolean}} preferences
 * @property {Pick<Devices, 'media'>} devices
 * @property {() => void} onChange there is something new to show
 * @property {Clock} clock
 */

export class Upload {
  #options;
  /** Loaded with the first look. @type {SendBudget | null} */ #budget = null;
  /** @type {number | undefined} */ #timer;
  #ended = false;

  /** @param {UploadOptions} options */
  constructor(options) {
    this.#options = options;
  }

  /** For how many viewers it is enough. */
  get viewers() {
    return this.#budget?.viewers ?? USUAL_VIEWERS;
  }

  start() {
    this.#timer = this.#options.clock.setTimeout(async () => {
      await this.#look();
      if (!this.#ended) this.start();
    }, STATISTICS_INTERVAL_MS);
  }

  end() {
    this.#ended = true;
    this.#options.clock.clearTimeout(this.#timer ?? 0);
  }

  /** Gives each of them as much as there is for one, and as they want. */
  share() {
    const { low } = this.#options.preferences();
    if (!this.#budget) return;
    const { video, screen } = this.#options.devices.media;
    const participants = this.#options.participants();
    for (const { active, presence } of participants) {
      active.limitSending(this.#budget.limits({ recipients: participants.length, low: low || presence.low, both: video && screen }));
    }
  }

  async #look() {
    await Promise.allSettled(this.#options.participants().map(({ active }) => active.updateStatistics()));
    const { SendBudget } = await import('./bandwidth.js');
    if (this.#ended) return;
    this.#budget ??= new SendBudget();
    // A connection that is still finding its pace is short of everything.
    const settled = this.#options.participants().filter(({ active }) => active.history.quality !== null);
    this.#budget.look(settled.flatMap(({ active }) => active.history.latest?.sending ?? []));
    this.share();
    this.#options.onChange();
  }
}
