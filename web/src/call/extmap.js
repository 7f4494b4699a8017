// Numbers of RTP header extensions in a description (RFC 8285), of which all sections share one transport. Pure.

/** Numbers that fit the short form of a header extension. */
const NUMBERS = 14;

/**
 * A description in which no number means two extensions. Chromium reserves numbers for an offer that it makes, also when it is
 * never used; when the other's offer has others in the meantime, its next one has both, and nobody can take it.
 * @param {string} sdp
 */
export function withoutCollisions(sdp) {
  /** @type {Map<string, string>} */ const extensions = new Map();
  /** @type {Map<string, string>} */ const numbers = new Map();
  const used = new Set([...sdp.matchAll(/^a=extmap:(\d+)/gm)].map(([, number]) => number));
  return sdp.replaceAll(/^(a=extmap:)(\d+)(\S* )(\S+)/gm, (line, before, number, between, extension) => {
    if ((extensions.get(number) ?? extension) === extension) {
      extensions.set(number, extension);
      numbers.set(extension, numbers.get(extension) ?? number);
      return line;
    }
    const other = numbers.get(extension) ?? free(used);
    // Without a number left it stays as it is: nothing would be gained.
    if (other === null) return line;
    used.add(other);
    extensions.set(other, extension);
    numbers.set(extension, other);
    return `${before}${other}${between}${extension}`;
  });
}

/** @param {Set<string>} used */
function free(used) {
  for (let number = 1; number <= NUMBERS; number += 1) if (!used.has(String(number))) return String(number);
  return null;
}
