// SHA-256 that takes content as it comes: WebCrypto wants a file whole.

/** @import { Hash } from './transfer.js' */

/**
 * The library is loaded when it is first wanted.
 * @returns {Promise<Hash>}
 */
export async function newSha256() {
  const { sha256 } = await import('../../vendor/noble-hashes/sha2.js');
  return sha256.create();
}
