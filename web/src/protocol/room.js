// Names of rooms and of people.

/** Letters and digits that no one confuses when reading a name aloud. */
const ALPHABET = 'abcdefghjkmnpqrstuvwxyz23456789';

/** Longest name of a person, in characters as a reader counts them. */
export const NAME_CHARACTERS = 64;

/** Longest name of a room. */
export const ROOM_CHARACTERS = 64;

/** What is looked at of a name that somebody else has chosen, in UTF-16 units. */
const RAW_NAME_UNITS = 1024;

/** A decomposed character has at most so many parts: Hangul syllables have. */
const COMPOSED = 3;

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
 * The room that somebody typed or pasted: a name, a path or a whole invite link. Empty when there is none.
 * @param {string} input
 */
export function roomFromInput(input) {
  const text = input.trim();
  const link = /\/room\/([^/?#\s]+)/.exec(text);
  return link ? roomName(safeDecode(link[1])) : roomName(text);
}

/**
 * Where what somebody typed or pasted leads, with what an invitation says besides the room: that it is for watching, and its
 * token. Empty when there is no room in it.
 * @param {string} input
 */
export function pathFromInput(input) {
  const room = roomFromInput(input);
  if (!room) return '';
  const [, search = '', hash = ''] = /\/room\/[^/?#\s]+\/?(\?[^#\s]*)?(#\S*)?/.exec(input) ?? [];
  const watch = new URLSearchParams(search).get('watch') ?? '0';
  const token = new URLSearchParams(hash.slice(1)).get('token');
  return roomPath(room) + (watch === '0' ? '' : '?watch=1') + (token ? `#token=${encodeURIComponent(token)}` : '');
}

/**
 * The room of a page address, or null when the address is no room's.
 * @param {string} pathname
 */
export function roomFromPath(pathname) {
  const match = /^\/room\/([^/]+)\/?$/.exec(pathname);
  return match ? roomName(safeDecode(match[1])) || null : null;
}

/** @param {string} room */
export function roomPath(room) {
  return `/room/${encodeURIComponent(room)}`;
}

/** @param {string} text */
function roomName(text) {
  const name = withoutControls(text).trim().replace(/[\s/?#\\]+/g, '-');
  return [...name].slice(0, ROOM_CHARACTERS).join('');
}

/** @param {string} text */
function safeDecode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/**
 * A person's name as it may be shown: one line, no invisible or direction-changing characters.
 * @param {unknown} name
 */
export function cleanName(name) {
  const text = withoutControls(cut(name, RAW_NAME_UNITS)).replace(/\s+/g, ' ').trim();
  return graphemes(text, NAME_CHARACTERS);
}

/**
 * A text as it may be shown: line breaks stay, other control and direction characters go.
 * @param {unknown} text
 * @param {number} most how long the result is at most, in UTF-16 units
 */
export function cleanText(text, most) {
  return cut(withoutControls(cut(text, COMPOSED * most)).trim(), most);
}

/**
 * The first `units` UTF-16 units of a text, without half a character at the end. What others send is cut before anything else
 * is done with it.
 * @param {unknown} text
 * @param {number} units
 */
function cut(text, units) {
  if (typeof text !== 'string') return '';
  const end = text.length > units && /[\ud800-\udbff]/.test(text[units - 1]) ? units - 1 : units;
  return text.slice(0, end);
}

/**
 * A text in composed form (NFC). More marks on one character than any language has are left out first, as putting them in order
 * takes the square of their number (UAX #15, 13).
 * @param {string} text
 */
export function composed(text) {
  return text.replace(/(\p{M}{30})\p{M}+/gu, '$1').normalize('NFC');
}

/**
 * Without control characters, without halves of characters, and without those that reorder or hide the text around them.
 * @param {string} text
 */
function withoutControls(text) {
  return composed(text)
    .replace(/\p{Cs}/gu, '\ufffd')
    .replace(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/gu, ' ')
    .replace(/(\p{Mn}{4})\p{Mn}+/gu, '$1');
}

/**
 * The first `count` graphemes.
 * @param {string} text
 * @param {number} count
 */
function graphemes(text, count) {
  const parts = new Intl.Segmenter(undefined, { granularity: 'grapheme' }).segment(text);
  let end = 0;
  let seen = 0;
  for (const part of parts) {
    if (seen === count) break;
    seen += 1;
    end = part.index + part.segment.length;
  }
  return text.slice(0, end);
}
