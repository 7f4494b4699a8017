// Names of rooms and of people, and text that others send.

/** Longest name of a person, in code points. */
export const NAME_CHARACTERS = 64;

/** Longest name of a room, in code points. The server's rule (docs/signaling-protocol.md). */
export const ROOM_CHARACTERS = 128;

/** Code points that are looked at of a name: a composed one has at most four when it is decomposed. */
const RAW_NAME = 4;

/** Characters that a decomposed one has at most: Hangul syllables have. */
const COMPOSED = 3;

/** Controls and what breaks lines. */
const CONTROL = /[\p{Cc}\u2028\u2029]/gu;

/**
 * Invisible characters that change nothing: no joiner between pictures or letters that join, no selector behind what has a picture
 * or makes a key or a way to write an ideograph, no tags of a flag. The rule is the server's (`name/invisible.rs`).
 */
const HIDDEN =
  /(?!(?<=[\u2190-\u27ff\u2900-\u2bff\u{1f000}-\u{1faff}\ufe0f])\u200d[\u2190-\u27ff\u2900-\u2bff\u{1f000}-\u{1faff}]|(?<=[\u0600-\u0dff\u1000-\u109f\u1780-\u18af])(?:[\u200c\u200d][\u0600-\u0dff\u1000-\u109f\u1780-\u18af]|\u200d(?= |$))|(?<=[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u{20000}-\u{3fffd}])[\u{e0100}-\u{e01ef}]|(?<=[0-9#*])\ufe0f\u20e3|(?<=[\u2190-\u27ff\u2900-\u2bff\u{1f000}-\u{1faff}\xa9\xae\u203c\u2049\u2122\u2139\u3030\u303d\u3297\u3299])\ufe0f|(?<=\u{1f3f4}[\u{e0020}-\u{e007e}]*)[\u{e0020}-\u{e007e}]*\u{e007f})[\p{Default_Ignorable_Code_Point}\u2800\ufff9-\ufffb]/gu;

/** A room name that the page has made (`newRoomName`), as long as it is no part of a longer name. */
export const PAGE_MADE = '(?<![a-z\\d-])(?:[a-hjkmnp-z2-9]{5}-){3}[a-hjkmnp-z2-9]{5}(?![a-z\\d-])';

/** What messengers leave around a name: punctuation, pictures, characters without width, and HTML's entities. */
const AROUND =
  '(?:&(?:[gl]t|amp|quot|apos|nbsp|#39|#34)|[\\s!-/:-@[-`{-~\\xa1-\\xa9\\xab-\\xb1\\xb4\\xb6-\\xb8\\xbb\\xbf\\u200b-\\u2027\\u2030-\\u205e\\u2060\\u2190-\\u27ff\\u3001-\\u3020\\u3030\\ufe0f\\ufeff\\uff01-\\uff0f\\uff1a-\\uff20\\uff3b-\\uff40\\uff5b-\\uff65\\u{1f300}-\\u{1faff}])*';
/** A Korean particle behind a name, composed or not. */
const PARTICLE = '(?:[\\uac00-\\ud7a3]{1,4}|[\\u1100-\\u115e\\u1161-\\u11ff]{1,12})';
/** The rule is the server's (`name/made.rs`). */
const IS_PAGE_MADE = new RegExp(`^${AROUND}(${PAGE_MADE})${AROUND}(?:${PARTICLE}${AROUND})?$`, 'iu');
/** Small letters, or capitals as phones and readers write them: all of them, the first one, or the first one of each group. */
const WHOLE_CASE = /^(?:[a-z\d-]+|[A-Z\d-]+|[A-Z][a-z\d-]+|[A-Z\d][a-z\d]+(?:-[A-Z\d][a-z\d]+)+)$/;

/** @param {string} text */
const singleSpaced = (text) => text.split(/[^\S\ufeff]+/).filter(Boolean).join(' ');

/**
 * The room that a name means: what it is called for everybody. What messengers leave around a name that the page has made goes:
 * punctuation, markup, particles, capitals. Every other name is never shortened or replaced: that would lead into another room.
 * @param {string} text
 * @returns {{room: string, problem?: undefined} | {problem: 'long' | 'invisible', room?: undefined}} `problem`: why no room can have
 *   this name
 */
export function readRoom(text) {
  const made = text.length < 4 * ROOM_CHARACTERS ? IS_PAGE_MADE.exec(text)?.[1] : undefined;
  if (made && WHOLE_CASE.test(made)) return { room: made.toLowerCase() };
  if ([...text.slice(0, 8 * ROOM_CHARACTERS + 1)].length > RAW_NAME * ROOM_CHARACTERS) return { problem: 'long' };
  const room = singleSpaced(text.normalize('NFC'));
  // Browsers take one or two dots for folders.
  if (text.search(CONTROL) >= 0 || room.search(HIDDEN) >= 0 || /[\p{Cs}\ufffd]|^\.{0,2}$/u.test(room)) return { problem: 'invisible' };
  return [...room].length > ROOM_CHARACTERS ? { problem: 'long' } : { room };
}

/**
 * The name that a room's address has; null when the address is no room's.
 * @param {string} pathname
 */
export function nameFromPath(pathname) {
  const match = /\/room\/([^/]+)\/*$/i.exec(pathname);
  return match && safeDecode(match[1]);
}

/**
 * The address of a room. Punctuation is percent-encoded, so that messengers take none of it for the end of a sentence.
 * @param {string} room
 */
export function roomPath(room) {
  const name = encodeURIComponent(room).replace(/[!'()*~]|\.$/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);
  return `/room/${name}`;
}

/** @param {string} text */
function safeDecode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** What ends a sentence, a quotation or a bracket, and rarely an address. */
const TRAILING = new Set('.,;:!?)]}…。、”’»」』）】》');

/**
 * An address without the punctuation of the sentence around it; a bracket that was opened inside stays.
 * @param {string} address
 */
export function withoutTrailing(address) {
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

/**
 * A person's name as it may be shown: one line, no invisible or direction-changing characters. Empty when nothing is left of it.
 * @param {unknown} name
 */
export function cleanName(name) {
  const text = composed(cut(name, 2 * RAW_NAME * NAME_CHARACTERS).replace(CONTROL, ' '));
  return firstCharacters(singleSpaced(withoutPiles(text).replace(HIDDEN, '')), NAME_CHARACTERS).trim();
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
export function cut(text, units) {
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
 * Without control characters, and without those that reorder or hide the text around them.
 * @param {string} text
 */
function withoutControls(text) {
  return withoutPiles(composed(text)).replace(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/gu, ' ');
}

/**
 * Without halves of characters, and with few marks on each.
 * @param {string} text
 */
function withoutPiles(text) {
  return text.replace(/\p{Cs}/gu, '\ufffd').replace(/(\p{Mn}{4})\p{Mn}+/gu, '$1');
}

/**
 * The first `count` code points, without a part of what a reader counts as one.
 * @param {string} text
 * @param {number} count
 */
function firstCharacters(text, count) {
  let end = 0;
  let left = count;
  for (const { segment } of new Intl.Segmenter(undefined, { granularity: 'grapheme' }).segment(text)) {
    left -= [...segment].length;
    if (left < 0) break;
    end += segment.length;
  }
  return text.slice(0, end);
}
