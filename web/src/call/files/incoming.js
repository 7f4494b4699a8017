// A file on its way to us: nothing is taken before the reader agrees, and never more than was agreed to.

import { safeFileName } from './name.js';
import { WINDOW_BYTES } from './messages.js';
import { Transfer, hex } from './transfer.js';

/** @import { FailureReason, FileMessage } from './messages.js' */
/** @import { Hash, TransferContext } from './transfer.js' */

/**
 * Where content goes. `write` resolves when it has its own copy and may take more; `close` makes the file complete; `abort` leaves nothing.
 * @typedef {{write: (content: Uint8Array<ArrayBuffer>) => Promise<void>, close: () => Promise<void>, abort: () => Promise<void>}} Sink
 */

export class IncomingTransfer extends Transfer {
  /** @type {Sink | null} */ #sink = null;
  /** @type {Hash | null} */ #hash = null;
  /** Bytes that have come. */ #received = 0;
  /** How far we let the sender go. */ #upTo = 0;
  /** Writing is one thing after the other. @type {Promise<void>} */ #writing = Promise.resolve();

  /**
   * @param {{id: number, name: string, size: number}} offer
   * @param {TransferContext} context
   */
  constructor({ id, name, size }, context) {
    super(id, safeFileName(name), size, context);
  }

  /**
   * The reader agrees.
   * @param {Sink} sink
   */
  async accept(sink) {
    if (this.state !== 'offered') return sink.abort();
    this.#sink = sink;
    this.become('running');
    try {
      this.#hash = await this.context.newHash();
    } catch {
      return this.#fail('write');
    }
    if (!this.ended) this.announce();
    return undefined;
  }

  refuse() {
    if (this.state !== 'offered') return;
    this.context.tell({ type: 'refuse', id: this.id });
    this.end('refused');
  }

  cancel() {
    if (this.ended) return;
    this.context.tell({ type: 'cancel', id: this.id, mine: false, reason: null });
    this.#stop('cancelled', null);
  }

  /** Their connection is new, and they may have gone on in the meantime: they tell again if they still pause. */
  offeredAgain() {
    this.pausedByOther(false);
    this.announce();
  }

  /** Tells where the sender is to go on, or how it ended. */
  announce() {
    const { id } = this;
    if (this.state === 'running' && this.#hash) {
      this.#upTo = Math.max(this.#received, this.bytes + WINDOW_BYTES);
      this.context.tell({ type: 'credit', id, from: this.#received, upTo: this.#upTo });
      if (this.pausedHere) this.context.tell({ type: 'pause', id, mine: false });
    } else if (this.state === 'done') this.context.tell({ type: 'verified', id });
    else if (this.state === 'refused') this.context.tell({ type: 'refuse', id });
    else if (this.ended) this.context.tell({ type: 'cancel', id, mine: false, reason: this.reason });
  }

  /**
   * @param {number} offset
   * @param {Uint8Array<ArrayBuffer>} content
   */
  chunk(offset, content) {
    // What was on the way when it ended here, or came before already: after a reconnection both sides may have told
    // twice where to go on.
    if (this.state !== 'running' || offset !== this.#received) return;
    if (this.#received + content.length > this.size) return this.#fail('size');
    if (this.#received + content.length > this.#upTo) return this.#fail('limit');
    this.#received += content.length;
    this.#then(async () => {
      await this.#hash?.update(content);
      await this.#sink?.write(content);
      this.advance(this.bytes + content.length);
      this.#giveCredit();
    });
    return undefined;
  }

  /** @param {FileMessage} message */
  receive(message) {
    if (this.ended) return;
    if (message.type === 'cancel') this.#stop(message.reason ? 'failed' : 'cancelled', message.reason);
    else if (message.type === 'pause') this.pausedByOther(true);
    else if (message.type === 'resume') this.pausedByOther(false);
    else if (message.type === 'done' && this.state === 'running') this.#finish(message.sha256);
  }

  /** @param {string} sha256 */
  #finish(sha256) {
    this.#then(async () => {
      if (this.#received !== this.size) return this.#fail('size');
      this.become('saving');
      if (hex(await /** @type {Hash} */ (this.#hash).digest()) !== sha256) return this.#fail('hash');
      await this.#sink?.close();
      if (this.ended) return undefined;
      this.context.tell({ type: 'verified', id: this.id });
      return this.end('done');
    });
  }

  /** In half windows, so that acknowledging costs little. */
  #giveCredit() {
    const upTo = this.bytes + WINDOW_BYTES;
    if (this.#upTo >= this.size || upTo - this.#upTo < WINDOW_BYTES / 2) return;
    this.#upTo = upTo;
    this.context.tell({ type: 'credit', id: this.id, from: null, upTo });
  }

  /** The other side is gone for good. */
  lose() {
    if (!this.ended) this.#stop('failed', 'lost');
  }

  /** @param {FailureReason} reason */
  #fail(reason) {
    if (this.ended) return;
    this.context.tell({ type: 'cancel', id: this.id, mine: false, reason });
    this.#stop('failed', reason);
  }

  /**
   * @param {'cancelled' | 'failed'} state
   * @param {FailureReason | null} reason
   */
  #stop(state, reason) {
    this.end(state, reason);
    // After what is being written: a file cannot be thrown away under it.
    const sink = this.#sink;
    this.#sink = null;
    this.#writing = this.#writing.then(() => sink?.abort()).catch(() => undefined);
  }

  /** @param {() => Promise<void> | void} step */
  #then(step) {
    this.#writing = this.#writing.then(async () => {
      if (this.ended) return;
      try {
        await step();
      } catch {
        this.#fail('write');
      }
    });
  }
}
