// What is said in writing.

import { cleanText, cut, withoutTrailing } from '../protocol/room.js';

/**
 * @typedef {object} ChatMessage
 * @property {string} id
 * @property {string} from peer id; empty for one's own
 * @property {string} name
 * @property {string} text
 * @property {number} at milliseconds since 1970
 * @property {boolean} uncertain whether somebody may not have got it: the server lost sight of it
 */

/** Longest chat message, in UTF-16 units. */
export const CHAT_CHARACTERS = 4000;

/** Into how many messages a longer text is divided at most; what is longer still is better sent as a file. */
export const CHAT_PARTS = 10;

/**
 * A message as it is shown; empty when nothing is left of it. What is cut ends with an ellipsis.
 * @param {unknown} input
 */
export function chatText(input) {
  const text = cleanText(input, CHAT_CHARACTERS + 1);
  return text.length > CHAT_CHARACTERS ? `${cut(text, CHAT_CHARACTERS - 1)}…` : text;
}

/**
 * A text as the messages that it is sent in, whole: divided at the end of a line or a word, and never inside a character.
 * @param {string} input
 */
export function chatMessages(input) {
  /** @type {string[]} */ const messages = [];
  let rest = cleanText(input, CHAT_PARTS * CHAT_CHARACTERS);
  while (rest.length > CHAT_CHARACTERS) {
    const head = rest.slice(0, CHAT_CHARACTERS);
    const words = Math.max(head.lastIndexOf('\n'), head.lastIndexOf(' ')) + 1;
    const characters = new Intl.Segmenter().segment(rest).containing(CHAT_CHARACTERS)?.index || cut(rest, CHAT_CHARACTERS).length;
    const end = words > CHAT_CHARACTERS / 2 ? words : characters;
    messages.push(rest.slice(0, end));
    rest = rest.slice(end);
  }
  return rest ? [...messages, rest] : messages;
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

/** @param {string} address */
function safeHref(address) {
  if (!URL.canParse(address)) return null;
  const { href, username, password, hostname } = new URL(address);
  return username === '' && password === '' && hostname !== '' ? href : null;
}

/** More than the word that a line was heard takes, in UTF-16 units. */
const MOST_HEARD = 64;

/**
 * Whether it says that a line of ours was heard.
 * @param {unknown} data what came over the chat channel
 */
export function isHeard(data) {
  return typeof data === 'string' && data.length < MOST_HEARD && data.startsWith('{"type":"heard"');
}
