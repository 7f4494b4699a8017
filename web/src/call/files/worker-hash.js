// SHA-256 in a worker, with as much on the way to it as keeps it busy.

/** @import { Hash } from './transfer.js' */

/**
 * `parts`: content to be hashed, in order; null asks for the digest and ends it.
 * @typedef {{id: number, parts: Uint8Array[] | null}} HashRequest
 * @typedef {{id: number, digest: Uint8Array | null, failed: boolean}} HashAnswer
 *
 * What is needed of a worker.
 * @typedef {object} HashWorker
 * @property {(request: HashRequest) => void} postMessage
 * @property {((event: {data: HashAnswer}) => void) | null} onmessage
 * @property {((event: any) => void) | null} onerror
 */

/** What is sent to the worker at once, in bytes: each message costs. */
const BATCH_BYTES = 256 * 1024;

export class WorkerHashes {
  #worker;
  #last = 0;
  /** @type {Map<number, {resolve: (digest: Uint8Array | null) => void, reject: (error: unknown) => void}>} */ #waiting = new Map();
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
      else waiting?.resolve(data.digest);
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
    /** @type {Uint8Array[]} */ let parts = [];
    let length = 0;
    /** The batch that is being hashed. @type {Promise<unknown>} */ let underway = Promise.resolve();
    const flush = async () => {
      const batch = parts;
      parts = [];
      length = 0;
      await underway;
      underway = this.#ask(id, batch);
      // Whoever waits for it hears; nobody else must.
      underway.catch(() => undefined);
    };
    return {
      update: async (bytes) => {
        parts.push(bytes);
        length += bytes.length;
        if (length >= BATCH_BYTES) await flush();
      },
      digest: async () => {
        await flush();
        await underway;
        return /** @type {Uint8Array} */ (await this.#ask(id, null));
      },
    };
  }

  /**
   * @param {number} id
   * @param {Uint8Array[] | null} parts
   * @returns {Promise<Uint8Array | null>}
   */
  #ask(id, parts) {
    if (this.#broken) return Promise.reject(this.#broken);
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, parts });
    });
  }
}
