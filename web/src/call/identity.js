// Who a page is to the others in the room, in all its sessions there: the holder of a key that never leaves it. Who came back
// after a loss is known again by it, and nobody can claim to be somebody else. Not a person's identity: each page has its own.

/** Elliptic curve keys and signatures (Web Cryptography API, section 23). */
const KEYS = { name: 'ECDSA', namedCurve: 'P-256' };
const SIGNATURES = { name: 'ECDSA', hash: 'SHA-256' };

/**
 * What a page says about itself to one other.
 * @typedef {{key: string, proof: string}} Introduction
 *
 * @typedef {object} Identity
 * @property {(from: string, to: string) => Promise<Introduction | null>} introduce null where browsers have no keys: on
 *   pages that came neither over TLS nor from this computer, or where they do not let us make one
 * @property {(introduction: unknown, from: string, to: string) => Promise<string | null>} recognise the key, if it is theirs
 */

/**
 * A new one.
 * @param {SubtleCrypto | undefined} subtle
 * @returns {Identity}
 */
export function newIdentity(subtle = globalThis.crypto?.subtle) {
  /** @type {Promise<{pair: CryptoKeyPair, key: string} | null> | undefined} */ let own;
  /** @param {SubtleCrypto} subtle */
  const create = async (subtle) => {
    const pair = await subtle.generateKey(KEYS, false, ['sign', 'verify']);
    return { pair, key: toText(await subtle.exportKey('raw', pair.publicKey)) };
  };
  return {
    async introduce(from, to) {
      if (!subtle) return null;
      // A browser may forbid keys: the call does without.
      own ??= create(subtle).catch(() => null);
      const made = await own;
      if (!made) return null;
      const { pair, key } = made;
      return { key, proof: toText(await subtle.sign(SIGNATURES, pair.privateKey, statement(from, to))) };
    },
    async recognise(introduction, from, to) {
      if (!subtle || introduction === null || typeof introduction !== 'object') return null;
      const { key, proof } = /** @type {Record<string, unknown>} */ (introduction);
      if (typeof key !== 'string' || typeof proof !== 'string') return null;
      try {
        const publicKey = await subtle.importKey('raw', fromText(key), KEYS, false, ['verify']);
        return (await subtle.verify(SIGNATURES, publicKey, fromText(proof), statement(from, to))) ? key : null;
      } catch {
        // No key, or no signature, at all.
        return null;
      }
    },
  };
}

/**
 * What is signed: it is of no use to anybody but these two, as the server names the sender.
 * @param {string} from
 * @param {string} to
 */
function statement(from, to) {
  return new TextEncoder().encode(JSON.stringify(['callbox page', from, to]));
}

/** @param {ArrayBuffer} bytes */
function toText(bytes) {
  return btoa(String.fromCharCode(...new Uint8Array(bytes)));
}

/** @param {string} text */
function fromText(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}
