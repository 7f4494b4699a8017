// Who speaks. Whoever coughs must not take the stage, and whoever pauses must not lose it. Pure.

/** From this loudness on somebody is speaking; browsers report 0 to 1. */
export const SPEAKING = 0.02;
/** How long somebody must be the loudest before the stage is theirs, in milliseconds. */
const TAKE_MS = 700;

export class SpeakerChoice {
  /** Who speaks or spoke last; null before anybody did. @type {string | null} */ speaker = null;
  /** @type {{key: string, since: number} | null} */ #challenger = null;

  /**
   * To be called several times a second.
   * @param {Map<string, number>} levels how loud everybody is now
   * @param {number} now milliseconds
   */
  hear(levels, now) {
    if (this.speaker !== null && !levels.has(this.speaker)) this.speaker = null;
    let loudest = null;
    for (const [key, level] of levels) {
      if (level >= SPEAKING && level > (levels.get(loudest ?? '') ?? 0)) loudest = key;
    }
    if (loudest === null || loudest === this.speaker) {
      this.#challenger = null;
    } else if (this.speaker === null) {
      this.speaker = loudest;
      this.#challenger = null;
    } else if (this.#challenger?.key !== loudest) {
      this.#challenger = { key: loudest, since: now };
    } else if (now - this.#challenger.since >= TAKE_MS) {
      this.speaker = loudest;
      this.#challenger = null;
    }
    return this.speaker;
  }
}
