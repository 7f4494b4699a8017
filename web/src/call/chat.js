// What is said in writing.

import { cleanText } from '../protocol/room.js';

/**
 * @typedef {object} ChatMessage
 * @property {string} id
 * @property {string} from peer id; empty for one's own
 * @property {string} name
 * @property {string} text
 * @property {number} at milliseconds since 1970
 * @property {boolean} uncertain whether somebody may not have got it: the server lost sight of it
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

/**
 * A text in parts: what is a link, and what is not.
 * @typedef {{text: string, href: string | null}} Part
 *
 * Only addresses of web pages become links, and none that names a user: in `https://bank.example@elsewhere` the bank is one.
 * @param {string} text
 * @returns {Part[]}
 */
export function linkParts(text) {
  /** @type {Part[]} */
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(/\bhttps?:\/\/[^\s<>"'`]+/giu)) {
    const shown = withoutTrailing(match[0]);
    const href = safeHref(shown);
    if (href === null) continue;
    if (match.index > end) parts.push({ text: text.slice(end, match.index), href: null });
    parts.push({ text: shown, href });
    end = match.index + shown.length;
  }
  if (end < text.length) parts.push({ text: text.slice(end), href: null });
  return parts;
}

/**
 * Without the punctuation of the sentence around it; a bracket that was opened inside stays.
 * @param {string} address
 */
function withoutTrailing(address) {
  let shown = address;
  for (;;) {
    const last = shown[shown.length - 1];
    const closes = last === ')' && shown.split('(').length >= shown.split(')').length;
    if (closes || !/[.,;:!?)\]}…。、]$/u.test(shown)) return shown;
    shown = shown.slice(0, -1);
  }
}

/** @param {string} address */
function safeHref(address) {
  if (!URL.canParse(address)) return null;
  const { href, username, password, hostname } = new URL(address);
  return username === '' && password === '' && hostname !== '' ? href : null;
}
