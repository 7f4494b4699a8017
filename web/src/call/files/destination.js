// Where a received file is kept: in a file that the reader chooses, or in the browser's own storage until it is saved.
// Only where there is neither it is kept in memory, up to a limit.

/** @import { IncomingTransfer, Sink } from './incoming.js' */

/** The largest file that is kept in memory, in bytes. */
export const MEMORY_LIMIT_BYTES = 200 * 1024 * 1024;
/** What is written at once, in bytes: each write is a trip to another process. */
const WRITE_BYTES = 512 * 1024;
/** Received files are of no type that a browser would open. */
const TYPE = 'application/octet-stream';
/** The folder of the browser's storage for this origin. */
const FOLDER = 'received';

/**
 * What is needed of the browser; `storage` is its origin private file system.
 * @typedef {object} FileEnvironment
 * @property {((options: {suggestedName: string}) => Promise<FileSystemFileHandle>) | undefined} showSaveFilePicker
 * @property {StorageManager | undefined} storage
 * @property {LockManager | undefined} locks
 *
 * `saved` gives the complete file to be saved, after it was closed; null where it is already where the reader wanted it.
 * @typedef {{sink: Sink, saved: (() => Promise<Blob>) | null}} Destination
 */

export class Destinations {
  #environment;
  #name;
  /** @type {Promise<FileSystemDirectoryHandle | null> | null} */ #folder = null;
  #count = 0;
  /** Complete files that are still to be saved. @type {WeakMap<IncomingTransfer, () => Promise<Blob>>} */ #saved = new WeakMap();

  /**
   * @param {FileEnvironment} environment
   * @param {string} name unguessable, of this page alone
   */
  constructor(environment, name) {
    this.#environment = environment;
    this.#name = name;
  }

  /**
   * The reader agrees to a file; to be called for a click, since it may open a dialog.
   * @param {IncomingTransfer} transfer
   * @returns {Promise<'accepted' | 'declined' | 'too_large'>} `declined`: the reader closed the dialog
   */
  async accept(transfer) {
    const destination = await this.#open(transfer.name, transfer.size);
    if (typeof destination === 'string') return destination;
    if (destination.saved) this.#saved.set(transfer, destination.saved);
    await transfer.accept(destination.sink);
    return 'accepted';
  }

  /**
   * The complete file, where it is not yet where the reader wants it.
   * @param {IncomingTransfer} transfer that is done
   * @returns {(() => Promise<Blob>) | null}
   */
  saved(transfer) {
    return this.#saved.get(transfer) ?? null;
  }

  /**
   * @param {string} name
   * @param {number} size bytes
   * @returns {Promise<Destination | 'declined' | 'too_large'>}
   */
  async #open(name, size) {
    const { showSaveFilePicker } = this.#environment;
    if (showSaveFilePicker) {
      try {
        const file = await showSaveFilePicker({ suggestedName: name });
        const writer = streamed(await file.createWritable());
        return { sink: { ...writer, abort: () => writer.abort().then(() => removeEmpty(file)) }, saved: null };
      } catch (error) {
        if (error instanceof DOMException && error.name === 'AbortError') return 'declined';
        // Not allowed here, such as in a frame or by a policy: the other ways are.
      }
    }
    const folder = await (this.#folder ??= this.#openFolder().catch(() => null));
    const stored = folder && (await this.#store(folder).catch(() => null));
    if (stored) return stored;
    return size <= MEMORY_LIMIT_BYTES ? inMemory() : 'too_large';
  }

  /**
   * @param {FileSystemDirectoryHandle} folder
   * @returns {Promise<Destination>}
   */
  async #store(folder) {
    const name = String((this.#count += 1));
    const file = await folder.getFileHandle(name, { create: true });
    const writer = streamed(await file.createWritable());
    const abort = () => writer.abort().then(() => folder.removeEntry(name));
    // A slice stays on the disk.
    const saved = async () => (await file.getFile()).slice(0, undefined, TYPE);
    return { sink: { ...writer, abort }, saved };
  }

  /** A folder for this page alone. Those of pages that are gone are cleared away. */
  async #openFolder() {
    const { storage, locks } = this.#environment;
    if (!storage || !locks) return null;
    const all = await (await storage.getDirectory()).getDirectoryHandle(FOLDER, { create: true });
    const lockOf = (/** @type {string} */ name) => `${FOLDER}/${name}`;
    // Held as long as the page lives.
    await new Promise((/** @type {(value?: unknown) => void} */ held) => {
      void locks.request(lockOf(this.#name), () => {
        held();
        return new Promise(() => {});
      });
    });
    const names = /** @type {AsyncIterable<string>} */ (/** @type {any} */ (all).keys());
    for await (const name of names) {
      if (name === this.#name) continue;
      await locks.request(lockOf(name), { ifAvailable: true }, async (lock) => {
        if (lock) await all.removeEntry(name, { recursive: true }).catch(() => undefined);
      });
    }
    return all.getDirectoryHandle(this.#name, { create: true });
  }
}

/**
 * The dialog has made an empty file where the reader wanted one. Not every browser can take it away again.
 * @param {FileSystemFileHandle & {remove?: () => Promise<void>}} file
 */
async function removeEmpty(file) {
  try {
    if ((await file.getFile()).size === 0) await file.remove?.();
  } catch {
    // The reader has moved it, or takes care of it.
  }
}

/**
 * @param {FileSystemWritableFileStream} stream
 * @returns {Sink}
 */
function streamed(stream) {
  // Always the same: garbage of gigabytes is collected late.
  const block = new Uint8Array(WRITE_BYTES);
  let length = 0;
  const flush = async () => {
    if (length > 0) await stream.write(block.subarray(0, length));
    length = 0;
  };
  return {
    async write(content) {
      for (let at = 0; at < content.length; ) {
        const part = content.subarray(at, at + WRITE_BYTES - length);
        block.set(part, length);
        at += part.length;
        length += part.length;
        if (length === WRITE_BYTES) await flush();
      }
    },
    async close() {
      await flush();
      await stream.close();
    },
    abort: () => stream.abort(),
  };
}

/** @returns {Destination} */
function inMemory() {
  /** @type {Blob[]} */
  let parts = [];
  const sink = {
    // Browsers may move blobs to the disk, which arrays never are.
    write: async (/** @type {Uint8Array<ArrayBuffer>} */ content) => void parts.push(new Blob([content])),
    close: async () => {},
    abort: async () => {
      parts = [];
    },
  };
  return { sink, saved: async () => new Blob(parts, { type: TYPE }) };
}
