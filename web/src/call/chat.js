// What is said in writing.

import { cleanText } from '../protocol/room.js';

/**
 * @typedef {object} ChatMessage
 * @property {string} id
 * @property {string} from peer id; empty for one's own
 * @property {string} name
 * @property {string} text
 * @property {number} at milliseconds since 1970
 */

/** Longest chat text, in characters. */
export const CHAT_CHARACTERS = 4000;

/**
 * A text as it is sent and shown; empty when nothing is left of it.
 * @param {unknown} input
 */
export function chatText(input) {
  return cleanText(input).slice(0, CHAT_CHARACTERS);
}
