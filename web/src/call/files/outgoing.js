// A file on its way to somebody.

import { CHUNK_BYTES, chunkWriter } from './messages.js';
import { Reading } from './reading.js';
import { Transfer, hex } from './transfer.js';

/** @import { FailureReason, FileMessage } from './messages.js' */
/** @import { OpenStream } from './reading.js' */
/** @import { FilesChannel, Hash, TransferContext, TransferState } from './transfer.js' */

/** What may wait in the channel, in bytes: enough to keep a fast line busy between two looks. */
export const BUFFER_BYTES = 1024 * 1024;
/** What is read at once, in bytes. */
const READ_BYTES = 32 * CHUNK_BYTES;

/**
 * What is needed of a file.
 * @typedef {{name: string, size: number, stream: OpenStream}} Source
 */

export class OutgoingTransfer extends Transfer {
  #reading;
  #write = chunkWriter();
  /** Where the next chunk begins. */ #next = 0;
  /** How far the receiver lets us go. */ #upTo = 0;
  /** How far the content has been hashed: what is sent again is not hashed again. */ #hashed = 0;
  /** @type {Hash | null} */ #hash = null;
  /** The digest, once there is one. @type {string | null} */ #sha256 = null;
  /** Whether the receiver has said, on this connection, where to go on. */ #placed = false;
  #pumping = false;
  /** Set when the place to go on changed: what was read before is dropped. */ #turn = 0;

  /**
   * @param {number} id
   * @param {Source} source
   * @param {TransferContext} context
   */
  constructor(id, source, context) {
    super(id, source.name, source.size, context);
    this.#reading = new Reading(source.stream, READ_BYTES);
  }

  /** To be called when there is a connection, for the first time or again. */
  announce() {
    // They may not have heard of the end.
    if (this.state === 'cancelled' || this.state === 'failed') {
      this.context.tell({ type: 'cancel', id: this.id, mine: true, reason: this.reason });
    }
    if (this.ended) return;
    this.#turn += 1;
    this.#upTo = 0;
    this.#placed = false;
    // They tell again if they still pause.
    this.pausedByOther(false);
    this.context.tell({ type: 'offer', id: this.id, name: this.name, size: this.size });
    if (this.pausedHere) this.context.tell({ type: 'pause', id: this.id, mine: true });
  }

  /** @param {FileMessage} message */
  receive(message) {
    // They had all of it before they heard that we would rather not.
    if (message.type === 'verified' && this.state === 'cancelled' && this.#sha256) this.become('done');
    if (this.ended) return;
    switch (message.type) {
      case 'credit':
        this.#credited(message.from, message.upTo);
        void this.pump();
        break;
      case 'refuse':
        this.end('refused');
        break;
      case 'verified':
        if (this.state === 'checking') this.end('done');
        break;
      case 'cancel':
        this.end(message.reason ? 'failed' : 'cancelled', message.reason);
        break;
      case 'pause':
      case 'resume':
        this.pausedByOther(message.type === 'pause');
        void this.pump();
        break;
    }
  }

  cancel() {
    if (this.ended) return;
    this.context.tell({ type: 'cancel', id: this.id, mine: true, reason: null });
    this.end('cancelled');
  }

  /**
   * @override
   * @param {TransferState} state
   * @param {FailureReason | null} [reason]
   */
  end(state, reason = null) {
    super.end(state, reason);
    this.#reading.close();
  }

  /**
   * @param {number | null} from
   * @param {number} upTo
   */
  #credited(from, upTo) {
    if (from !== null && from <= this.size) {
      this.#next = from;
      this.#turn += 1;
      this.#upTo = upTo;
      this.#placed = true;
      this.become('running');
      this.advance(from);
    }
    this.#upTo = Math.max(this.#upTo, upTo);
  }

  /** Sends as much as receiver and channel take; to be called whenever they may take more. */
  async pump() {
    if (this.#pumping) return;
    this.#pumping = true;
    for (let channel = this.#way(); channel; channel = this.#way()) await this.#sendSome(channel);
    this.#pumping = false;
  }

  /** The channel, if something may be sent over it now. */
  #way() {
    const channel = this.context.channel();
    if (this.state !== 'running' || !this.#placed || this.paused || channel?.readyState !== 'open') return null;
    if (channel.bufferedAmount > BUFFER_BYTES) return null;
    return this.#next < Math.min(this.size, this.#upTo) || this.#next === this.size ? channel : null;
  }

  /** @param {FilesChannel} channel */
  async #sendSome(channel) {
    const turn = this.#turn;
    const from = this.#next;
    const content = await this.#read(from, Math.min(from + READ_BYTES, this.size, this.#upTo));
    if (!content) return;
    // In the meantime the place to go on may have changed, or the connection, or somebody's mind.
    if (turn !== this.#turn || this.state !== 'running' || channel.readyState !== 'open') return;
    for (let at = 0; at < content.length; at += CHUNK_BYTES) {
      channel.send(this.#write(this.id, from + at, content.subarray(at, at + CHUNK_BYTES)));
    }
    this.#next = from + content.length;
    this.advance(this.#next);
    if (this.#next < this.size) return;
    this.#sha256 ??= hex(await /** @type {Hash} */ (this.#hash).digest());
    if (turn !== this.#turn || this.state !== 'running') return;
    this.become('checking');
    this.context.tell({ type: 'done', id: this.id, sha256: this.#sha256 });
  }

  /**
   * @param {number} from
   * @param {number} to
   * @returns {Promise<Uint8Array | null>} null when the file was changed, moved or deleted since it was chosen
   */
  async #read(from, to) {
    try {
      const content = await this.#reading.read(from, to);
      await this.#hashUpTo(from, content);
      if (content.length === to - from) return content;
    } catch {
      // As with content that is missing.
    }
    if (!this.ended) this.context.tell({ type: 'cancel', id: this.id, mine: true, reason: 'read' });
    this.end('failed', 'read');
    return null;
  }

  /**
   * @param {number} from
   * @param {Uint8Array} content
   */
  async #hashUpTo(from, content) {
    this.#hash ??= await this.context.newHash();
    const known = this.#hashed - from;
    if (known >= content.length) return;
    await this.#hash.update(content.subarray(known));
    this.#hashed = from + content.length;
  }
}
