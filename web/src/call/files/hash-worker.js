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
  const { id, batch } = /** @type {HashRequest} */ (data);
  /** @type {HashAnswer} */
  const answer = { id, batch, digest: null, failed: false };
  try {
    const known = hashes.get(id) ?? spare.then(newSha256);
    hashes.set(id, known);
    const hash = await known;
    if (batch) hash.update(batch);
    else answer.digest = await hash.digest();
  } catch {
    answer.failed = true;
  }
  if (!batch) hashes.delete(id);
  postMessage(answer, { transfer: batch ? [batch.buffer] : [] });
});
