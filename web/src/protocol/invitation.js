// New rooms, and where what people type or paste leads. Loaded for the start page alone.

import { cut, nameFromPath, PAGE_MADE, readRoom, roomPath, withoutTrailing } from './room.js';

/** Letters and digits that no one confuses when reading a name aloud. */
const ALPHABET = 'abcdefghjkmnpqrstuvwxyz23456789';

/** What is read of a pasted text, in UTF-16 units: more than a wrapped link has. */
const INPUT_UNITS = 4096;

/** How many wrappers may be around a link. */
const WRAPPERS = 3;

/** What is copied along unseen: no name has it at its ends. */
const EDGES = /^[\s\u200b\u200e\u200f\u2060]+|[\s\u200b\u200e\u200f\u2060]+$/g;

const ADDRESSES = /https?:\/\/(?:\[[\da-f:.]+\])?[^\s<>"'`{}|\\^[\]]+/gi;

const SCHEME = /(?:^[a-z][a-z\d+.-]*|https?):\/\//i;

/** An address without its scheme: a name with a dot, and a path behind it. */
const HOST_AND_PATH = /^[\w-]+(\.[\w-]+)+(:\d+)?\//;

/**
 * A room name that nobody can guess: 20 characters of 31, about 99 bits, in groups of five.
 * @param {(bytes: Uint8Array<ArrayBuffer>) => Uint8Array} fillRandom e.g. `crypto.getRandomValues`
 */
export function newRoomName(fillRandom) {
  /** @type {string[]} */
  const characters = [];
  while (characters.length < 20) {
    // Bytes beyond the largest multiple of the alphabet's length would favour its first letters.
    for (const byte of fillRandom(new Uint8Array(32))) {
      if (byte < 248 && characters.length < 20) characters.push(ALPHABET[byte % ALPHABET.length]);
    }
  }
  return (characters.join('').match(/.{5}/g) ?? []).join('-');
}

/**
 * Where a typed name or a pasted invitation leads. An invitation keeps its token, and whether it is for watching. It is found in
 * a sentence, in Markdown, and inside the links with which messengers and mail programs wrap it.
 * @param {string} input
 * @param {string} host of this page, with its port
 * @returns {{path: string} | {problem: 'missing' | 'elsewhere' | 'long' | 'invisible'}}
 */
export function readInvitation(input, host) {
  const text = cut(input, INPUT_UNITS).trim();
  const link = findLink(text, host, WRAPPERS) ?? findShortLink(text, host);
  const isElsewhere = !link && (SCHEME.test(text) || HOST_AND_PATH.test(text));
  if (isElsewhere) return { problem: text.includes(host) ? 'missing' : 'elsewhere' };
  const name = link ? (nameFromPath(link.pathname) ?? '') : (new RegExp(PAGE_MADE, 'i').exec(text)?.[0] ?? text);
  if (!name) return { problem: 'missing' };
  // A number behind the whole input's one link belongs to a name with a space that was pasted as it is shown.
  const [, number = ''] = (link && !link.search && !link.hash && /^\S*[^\s\p{P}]( \d{1,3})$/u.exec(text)) || [];
  const { room, problem } = readRoom(name.replace(EDGES, '') + number);
  return problem ? { problem } : { path: roomPath(room) + (link ? extras(link) : '') };
}

/**
 * The link to a room here, wherever in a text it is.
 * @param {string} text
 * @param {string} host
 * @param {number} wrappers
 * @returns {URL | null}
 */
function findLink(text, host, wrappers) {
  for (const [found] of text.matchAll(ADDRESSES)) {
    // A filter of mail puts two underscores and a semicolon behind what it wraps; others write brackets and quotation marks as HTML.
    const address = withoutTrailing(found.replace(/__;.*|&(?:[gl]t|quot|apos|nbsp|#39|#34);.*|[*~]+$/g, ''));
    if (!URL.canParse(address)) continue;
    const url = new URL(address);
    if (url.host === host && nameFromPath(url.pathname) !== null) return url;
    if (wrappers === 0) continue;
    for (const inner of [address.slice(8), ...url.searchParams.values()]) {
      const link = findLink(inner, host, wrappers - 1);
      if (link) return link;
    }
  }
  return null;
}

/**
 * A link without its scheme, or a path alone.
 * @param {string} text
 * @param {string} host
 */
function findShortLink(text, host) {
  const [word = ''] = text.split(/[\s<>"'`{}|\\^[\]]+/).filter((part) => /\/room\//i.test(part));
  const path = withoutTrailing(word).replace(/^[^/]+/, (name) => (name.toLowerCase() === host ? '' : name));
  return /^\/room\//i.test(path) ? new URL(path, `http://${host}`) : null;
}

/**
 * What an invitation says besides its room.
 * @param {URL} link
 */
function extras({ searchParams, hash }) {
  const watch = searchParams.get('watch') ?? '0';
  const token = new URLSearchParams(hash.slice(1)).get('token')?.match(/^[\w.-]*[\w-]/)?.[0];
  return (watch === '0' ? '' : '?watch=1') + (token ? `#token=${token}` : '');
}
