// A worker that hashes: large files must not make the page's pictures stutter.

import { newSha256 } from './sha256.js';

/** @import { HashAnswer, HashRequest } from './worker-hash.js' */
/** @import { Hash } from './transfer.js' */

/** @type {Map<number, Promise<Hash>>} */
const hashes = new Map();
// Fetched while the server is there: it need not be when the first file comes.
const spare = newSha256();
spare.catch(() => undefined);

addEventListener('message', async ({ data }) => {
  const { id, parts } = /** @type {HashRequest} */ (data);
  /** @type {HashAnswer} */
  let answer = { id, digest: null, failed: false };
  try {
    const known = hashes.get(id) ?? spare.then(newSha256);
    hashes.set(id, known);
    const hash = await known;
    for (const part of parts ?? []) hash.update(part);
    if (!parts) answer = { id, digest: await hash.digest(), failed: false };
  } catch {
    answer = { id, digest: null, failed: true };
  }
  if (!parts) hashes.delete(id);
  postMessage(answer);
});
