// What people show without words: raised hands and reactions. They travel as application events. Pure.

/** What can be shown; others see the name of it, and their page decides how it looks. */
export const REACTIONS = /** @type {const} */ (['yes', 'clap', 'heart', 'laugh', 'wow', 'no']);

/** @typedef {typeof REACTIONS[number]} Reaction */

/** How long a reaction is shown, in milliseconds. */
export const REACTION_MS = 5000;

/** Application event: what somebody wants the others to know about them, as long as it holds. */
export const PRESENCE_EVENT = 'presence';
/** Application event: a reaction, gone as soon as it was seen. */
export const REACTION_EVENT = 'reaction';

/**
 * @typedef {object} Presence
 * @property {boolean} hand whether their hand is raised
 * @property {boolean} low whether they want little to be sent to them: their network is slow or paid by volume
 */

/** @returns {Presence} */
export function noPresence() {
  return { hand: false, low: false };
}

/**
 * What somebody told, or what of it can be understood.
 * @param {unknown} data
 * @returns {Presence}
 */
export function readPresence(data) {
  const { hand, low } = /** @type {Record<string, unknown>} */ (data !== null && typeof data === 'object' ? data : {});
  return { hand: hand === true, low: low === true };
}

/**
 * @param {unknown} data
 * @returns {Reaction | null}
 */
export function readReaction(data) {
  const { reaction } = /** @type {Record<string, unknown>} */ (data !== null && typeof data === 'object' ? data : {});
  return REACTIONS.find((known) => known === reaction) ?? null;
}
