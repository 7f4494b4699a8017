// SHA-256 in a worker, with as much on the way to it as keeps it busy.

/** @import { Hash } from './transfer.js' */

/**
 * `batch`: content to be hashed, whose buffer comes back with the answer; null asks for the digest and ends it.
 * @typedef {{id: number, batch: Uint8Array<ArrayBuffer> | null}} HashRequest
 * @typedef {{id: number, batch: Uint8Array<ArrayBuffer> | null, digest: Uint8Array | null, failed: boolean}} HashAnswer
 *
 * What is needed of a worker.
 * @typedef {object} HashWorker
 * @property {(request: HashRequest, transfer: ArrayBuffer[]) => void} postMessage
 * @property {((event: {data: HashAnswer}) => void) | null} onmessage
 * @property {((event: any) => void) | null} onerror
 */

/** What is sent to the worker at once, in bytes: each message costs. */
const BATCH_BYTES = 256 * 1024;

export class WorkerHashes {
  #worker;
  #last = 0;
  /** @type {Map<number, {resolve: (answer: HashAnswer) => void, reject: (error: unknown) => void}>} */ #waiting = new Map();
  /** @type {unknown} */ #broken = null;

  /** Whether the worker has ended: nothing more can be expected of it. */
  get broken() {
    return this.#broken !== null;
  }

  /** @param {HashWorker} worker */
  constructor(worker) {
    this.#worker = worker;
    worker.onmessage = ({ data }) => {
      const waiting = this.#waiting.get(data.id);
      this.#waiting.delete(data.id);
      if (data.failed) waiting?.reject(new Error('the worker could not hash'));
      else waiting?.resolve(data);
    };
    worker.onerror = (event) => {
      this.#broken = event;
      for (const { reject } of this.#waiting.values()) reject(event);
      this.#waiting.clear();
    };
  }

  /** @returns {Hash} */
  create() {
    const id = (this.#last += 1);
    /** Two buffers go to and fro, one filled here while the other is hashed there: garbage of gigabytes is collected late. */
    let filling = new Uint8Array(BATCH_BYTES);
    let length = 0;
    /** The batch that is being hashed, and the buffer to be filled after it. */
    let underway = Promise.resolve(new Uint8Array(BATCH_BYTES));
    const flush = async () => {
      const batch = filling.subarray(0, length);
      filling = await underway;
      length = 0;
      underway = this.#ask(id, batch).then(({ batch: back }) => new Uint8Array(/** @type {Uint8Array<ArrayBuffer>} */ (back).buffer));
      // Whoever waits for it hears; nobody else must.
      underway.catch(() => undefined);
    };
    return {
      update: async (bytes) => {
        for (let at = 0; at < bytes.length; ) {
          const part = bytes.subarray(at, at + BATCH_BYTES - length);
          filling.set(part, length);
          at += part.length;
          length += part.length;
          if (length === BATCH_BYTES) await flush();
        }
      },
      digest: async () => {
        await flush();
        await underway;
        return /** @type {Uint8Array} */ ((await this.#ask(id, null)).digest);
      },
    };
  }

  /**
   * @param {number} id
   * @param {Uint8Array<ArrayBuffer> | null} batch
   * @returns {Promise<HashAnswer>}
   */
  #ask(id, batch) {
    if (this.#broken) return Promise.reject(this.#broken);
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, batch }, batch ? [batch.buffer] : []);
    });
  }
}
