// Reads a file from one end to the other, always into the same memory.

/**
 * @typedef {object} Reader
 * @property {(into: Uint8Array<ArrayBuffer>) => Promise<ReadableStreamReadResult<Uint8Array<ArrayBuffer> | undefined>>} read
 * @property {() => Promise<void>} cancel
 *
 * A stream from a place in a file to its end, as `file.slice(from).stream()` is.
 * @typedef {(from: number) => ReadableStream<Uint8Array<ArrayBuffer>>} OpenStream
 */

export class Reading {
  #open;
  #size;
  /** @type {Uint8Array<ArrayBuffer>} */ #memory;
  /** Where the stream goes on. */ #at = 0;
  /** @type {Reader | null} */ #reader = null;
  /** What came beyond what was asked for, where the stream decides how much comes. @type {Uint8Array<ArrayBuffer>} */ #rest = new Uint8Array(0);

  /**
   * @param {OpenStream} open
   * @param {number} size what is read at once, in bytes
   */
  constructor(open, size) {
    this.#open = open;
    this.#size = size;
    this.#memory = new Uint8Array(0);
  }

  /**
   * @param {number} from
   * @param {number} to at most as far from there as is read at once
   * @returns {Promise<Uint8Array<ArrayBuffer>>} good until the next reading; shorter where the file ends
   */
  async read(from, to) {
    if (!this.#reader || from !== this.#at) this.#begin(from);
    if (this.#memory.length === 0) this.#memory = new Uint8Array(this.#size);
    const length = to - from;
    let filled = 0;
    while (filled < length) {
      const more = await this.#some(filled, length - filled);
      if (more === 0) break;
      filled += more;
    }
    this.#at = from + filled;
    return this.#memory.subarray(0, filled);
  }

  /** Gives everything back; it may be read again all the same. */
  close() {
    // What it was cancelled for concerns nobody.
    this.#reader?.cancel().catch(() => undefined);
    this.#reader = null;
    this.#rest = new Uint8Array(0);
    this.#memory = new Uint8Array(0);
  }

  /** @param {number} from */
  #begin(from) {
    this.close();
    this.#at = from;
    const stream = this.#open(from);
    try {
      this.#reader = stream.getReader({ mode: 'byob' });
    } catch {
      // A stream that brings its own memory: its parts are copied.
      const reader = stream.getReader();
      this.#reader = { read: () => reader.read(), cancel: () => reader.cancel() };
    }
  }

  /**
   * @param {number} offset where to in memory
   * @param {number} length at most
   * @returns {Promise<number>} how many bytes came; 0 at the end of the file
   */
  async #some(offset, length) {
    if (this.#rest.length > 0) return this.#take(this.#rest, offset, length);
    const { buffer } = this.#memory;
    const { value, done } = await /** @type {Reader} */ (this.#reader).read(new Uint8Array(buffer, offset, length));
    if (this.#memory.buffer.byteLength === 0 && value) {
      // It was taken and filled, and came back under another name.
      this.#memory = new Uint8Array(value.buffer);
      return value.length;
    }
    return done || !value ? 0 : this.#take(value, offset, length);
  }

  /**
   * @param {Uint8Array<ArrayBuffer>} part
   * @param {number} offset
   * @param {number} length
   */
  #take(part, offset, length) {
    const taken = part.subarray(0, length);
    this.#memory.set(taken, offset);
    this.#rest = part.subarray(length);
    return taken.length;
  }
}
