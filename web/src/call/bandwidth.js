// How much is sent to each of the others. In a mesh everybody gets a picture of their own, so the upload is shared: less
// for each, the more there are. Pure. All rates are bits per second.

/** The most that a camera's picture of 720 lines needs. */
const FULL = 2_500_000;
/** Below this a picture is no use; it is what everybody gets at least. */
const LEAST = 120_000;
/** What somebody gets who asked for little, and what we send when we want to use little. */
const LOW = 150_000;
/** How much of what the browser believes to be free is used: the rest is for sound, files and errors of the estimate. */
const SHARE = 0.85;
/** What the screen gets of one's share where the camera is sent, too: it is what people look at. */
const SCREEN_SHARE = 0.75;
/** How fast more is tried again after a shortage, each second. */
const GROWTH = 1.08;
/** Rates from which on the picture is sent with all its lines, and with half of them. */
const ALL_LINES = 1_000_000;
const HALF_THE_LINES = 350_000;
/** What a viewer should get at least, and as how much an upload counts that has not shown its limit. */
const WORTH_WATCHING = 500_000;
const USUAL_UPLOAD = 8_000_000;
/** More pictures than this no computer codes at the same time, however wide its network. */
const MOST_ENCODERS = 12;

/**
 * What a link tells about its sending.
 * @typedef {object} Sending
 * @property {number | null} available what the browser believes that this connection can take
 * @property {boolean} limited whether it sends less than it would like because of that
 *
 * @typedef {object} Limits
 * @property {number} camera most for the camera's picture
 * @property {number} cameraScale by how much its width and height are divided
 * @property {number} screen most for a shared screen, whose lines are all sent
 * @property {number} framesPerSecond
 */

export class SendBudget {
  /** What all connections together can take; null as long as no limit has shown. @type {number | null} */ upload = null;

  /**
   * To be called once a second.
   * @param {Sending[]} links
   */
  look(links) {
    const limited = links.some((link) => link.limited);
    if (limited) {
      const known = links.flatMap(({ available }) => available ?? []);
      if (known.length > 0) this.upload = known.reduce((sum, available) => sum + available, 0);
    } else if (this.upload !== null) {
      this.upload *= GROWTH;
      if (this.upload > FULL * Math.max(1, links.length)) this.upload = null;
    }
  }

  /**
   * What one of the others is sent at most.
   * @param {{recipients: number, low: boolean, both: boolean}} of `low`: they or we want little; `both`: camera and screen are sent
   * @returns {Limits}
   */
  limits({ recipients, low, both }) {
    const each = this.upload === null ? Infinity : (this.upload * SHARE) / Math.max(1, recipients);
    const most = low ? LOW : FULL;
    const camera = Math.round(Math.max(LEAST, Math.min(most, both ? each * (1 - SCREEN_SHARE) : each)));
    const screen = Math.round(Math.max(2 * LOW, Math.min(most, both ? each * SCREEN_SHARE : each)));
    const cameraScale = camera >= ALL_LINES ? 1 : camera >= HALF_THE_LINES ? 2 : 4;
    return { camera, cameraScale, screen, framesPerSecond: low ? 12 : 30 };
  }

  /** For how many viewers the upload is enough. */
  get viewers() {
    const upload = this.upload ?? USUAL_UPLOAD;
    return Math.max(1, Math.min(MOST_ENCODERS, Math.floor((upload * SHARE) / WORTH_WATCHING)));
  }
}
