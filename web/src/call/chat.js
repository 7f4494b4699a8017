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

/** What ends a sentence or a bracket, and rarely an address. */
const TRAILING = new Set('.,;:!?)]}…。、');

/**
 * A text as it is sent and shown; empty when nothing is left of it.
 * @param {unknown} input
 */
export function chatText(input) {
  return cleanText(input, CHAT_CHARACTERS);
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
  const opened = address.split('(').length;
  let closed = address.split(')').length;
  let end = address.length;
  for (; end > 0 && TRAILING.has(address[end - 1]); end -= 1) {
    if (address[end - 1] !== ')') continue;
    if (opened >= closed) break;
    closed -= 1;
  }
  return address.slice(0, end);
}

/** @param {string} address */
function safeHref(address) {
  if (!URL.canParse(address)) return null;
  const { href, username, password, hostname } = new URL(address);
  return username === '' && password === '' && hostname !== '' ? href : null;
}
