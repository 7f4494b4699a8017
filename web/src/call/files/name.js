// What a file from somebody else may be called on this computer. Pure.

import { composed } from '../../protocol/room.js';

/** Longest name, in UTF-8 bytes; file systems take 255, and browsers may add a number. */
const LONGEST_BYTES = 200;
/** Longest ending that is kept when a name is cut, in characters, with its dot. */
const LONGEST_ENDING = 16;

/** What is looked at of a name, in UTF-16 units. */
const LONGEST_UNITS = 1024;
/** After white space has become spaces. */
const DOTS = new Set('. ');

/** Names that are devices on Windows, with any ending (“Naming Files, Paths, and Namespaces”). */
const DEVICES = /^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(?=\.|$)/i;

/**
 * A name without a path, without characters that are invisible or turn text around, that no system takes for something
 * else, and that is not hidden.
 * @param {unknown} name
 * @returns {string}
 */
export function safeFileName(name) {
  // The end, where the ending is.
  const text = composed(typeof name === 'string' ? name.slice(-LONGEST_UNITS) : '');
  const base = text.split(/[/\\]/).at(-1) ?? '';
  const visible = base
    .replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/gu, '')
    .replace(/[<>:"|?*]/g, '_')
    .replace(/\s+/gu, ' ');
  return shortened(withoutDots(visible).replace(DEVICES, '_$1')) || 'file';
}

/**
 * Endings with spaces and dots are cut by Windows; leading dots hide a file elsewhere.
 * @param {string} name
 */
function withoutDots(name) {
  let [start, end] = [0, name.length];
  while (start < end && DOTS.has(name[start])) start += 1;
  while (end > start && DOTS.has(name[end - 1])) end -= 1;
  return name.slice(start, end);
}

/**
 * Cut in the middle of the name, so that the ending stays.
 * @param {string} name
 */
function shortened(name) {
  const bytes = (/** @type {string} */ text) => new TextEncoder().encode(text).length;
  if (bytes(name) <= LONGEST_BYTES) return name;
  const dot = name.lastIndexOf('.');
  const ending = dot > 0 && name.length - dot <= LONGEST_ENDING ? name.slice(dot) : '';
  let left = LONGEST_BYTES - bytes(ending);
  let end = 0;
  for (const character of name.slice(0, name.length - ending.length)) {
    left -= bytes(character);
    if (left < 0) break;
    end += character.length;
  }
  return name.slice(0, end).trimEnd() + ending;
}
