// What a file from somebody else may be called on this computer. Pure.

/** Longest name, in UTF-8 bytes; file systems take 255, and browsers may add a number. */
const LONGEST_BYTES = 200;
/** Longest ending that is kept when a name is cut, in characters, with its dot. */
const LONGEST_ENDING = 16;

/** Names that are devices on Windows, with any ending (“Naming Files, Paths, and Namespaces”). */
const DEVICES = /^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(?=\.|$)/i;

/**
 * A name without a path, without characters that are invisible or turn text around, that no system takes for something
 * else, and that is not hidden.
 * @param {unknown} name
 * @returns {string}
 */
export function safeFileName(name) {
  const text = typeof name === 'string' ? name.normalize('NFC') : '';
  const base = text.split(/[/\\]/).at(-1) ?? '';
  const visible = base
    .replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/gu, '')
    .replace(/[<>:"|?*]/g, '_')
    .replace(/\s+/gu, ' ')
    // Endings with spaces and dots are cut by Windows; leading dots hide a file elsewhere.
    .replace(/^[.\s]+|[.\s]+$/gu, '');
  return shortened(visible.replace(DEVICES, '_$1')) || 'file';
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
  const characters = [...name.slice(0, name.length - ending.length)];
  while (bytes(characters.join('') + ending) > LONGEST_BYTES) characters.pop();
  return characters.join('').trimEnd() + ending;
}
