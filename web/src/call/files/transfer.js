// What both sides of a transfer have in common, and what is shown of it.

/** @import { Clock } from '../../protocol/types.js' */
/** @import { FailureReason, FileMessage } from './messages.js' */

/** Speed is that of the last seconds, in milliseconds. */
const SPEED_WINDOW_MS = 3000;

/**
 * `offered`: waits for the receiver's consent. `running`: on its way, or paused. `checking`: all was sent, the receiver
 * compares. `saving`: the receiver finishes its file. The others are ends.
 * @typedef {'offered' | 'running' | 'checking' | 'saving' | 'done' | 'refused' | 'cancelled' | 'failed'} TransferState
 *
 * A SHA-256 under way.
 * `update` may ask to be waited for before more comes.
 * @typedef {{update: (bytes: Uint8Array) => unknown, digest: () => Uint8Array | Promise<Uint8Array>}} Hash
 *
 * What is needed of a data channel.
 * @typedef {Pick<RTCDataChannel, 'readyState' | 'bufferedAmount' | 'bufferedAmountLowThreshold' | 'binaryType' | 'send'
 *   | 'onmessage' | 'onbufferedamountlow' | 'onclose'>} FilesChannel
 *
 * What a transfer needs of its exchange.
 * @typedef {object} TransferContext
 * @property {(message: FileMessage) => void} tell does nothing while there is no connection
 * @property {() => void} changed for a change of state
 * @property {() => void} progressed for bytes; may come often
 * @property {() => void} flow content may flow again
 * @property {() => FilesChannel | null} channel null while there is no connection
 * @property {() => Promise<Hash>} newHash
 * @property {Clock} clock
 */

export class Transfer {
  context;
  /** @type {TransferState} */ state = 'offered';
  /** @type {FailureReason | null} */ reason = null;
  /** Whether it was us, the other side, or both, who paused it. */
  pausedHere = false;
  pausedThere = false;
  /** Bytes that are certain: sent, or written. */ bytes = 0;
  /** @type {{at: number, bytes: number}[]} */ #samples = [];

  /**
   * @param {number} id
   * @param {string} name
   * @param {number} size bytes
   * @param {TransferContext} context
   */
  constructor(id, name, size, context) {
    this.id = id;
    this.name = name;
    this.size = size;
    this.context = context;
  }

  get ended() {
    return ['done', 'refused', 'cancelled', 'failed'].includes(this.state);
  }

  get paused() {
    return this.pausedHere || this.pausedThere;
  }

  /** Bytes per second, of late. */
  get speed() {
    const [first] = this.#samples;
    const now = this.context.clock.now();
    const recent = this.#samples.filter(({ at }) => at >= now - SPEED_WINDOW_MS);
    const from = recent[0] ?? first;
    const last = this.#samples.at(-1);
    if (!from || !last || this.state !== 'running' || this.paused) return 0;
    return ((last.bytes - from.bytes) * 1000) / Math.max(250, now - from.at);
  }

  /** @param {number} bytes */
  advance(bytes) {
    const now = this.context.clock.now();
    this.bytes = bytes;
    const last = this.#samples.at(-1);
    // A few samples a second are enough.
    if (last && now - last.at < 200) last.bytes = bytes;
    else this.#samples.push({ at: now, bytes });
    while (this.#samples.length > 2 && this.#samples[1].at < now - SPEED_WINDOW_MS) this.#samples.shift();
    this.context.progressed();
  }

  /** @param {boolean} mine whether its number was given by us */
  pauseHere(mine) {
    if (this.state !== 'running' || this.pausedHere) return;
    this.pausedHere = true;
    this.context.tell({ type: 'pause', id: this.id, mine });
    this.context.changed();
  }

  /** @param {boolean} mine */
  resumeHere(mine) {
    if (this.state !== 'running' || !this.pausedHere) return;
    this.pausedHere = false;
    this.#samples = [];
    this.context.tell({ type: 'resume', id: this.id, mine });
    this.context.changed();
    this.context.flow();
  }

  /** @param {boolean} paused */
  pausedByOther(paused) {
    if (this.ended || this.pausedThere === paused) return;
    this.pausedThere = paused;
    this.#samples = [];
    this.context.changed();
  }

  /** @param {TransferState} state */
  become(state) {
    if (this.state === state) return;
    this.state = state;
    this.context.changed();
  }

  /**
   * @param {TransferState} state
   * @param {FailureReason | null} [reason]
   */
  end(state, reason = null) {
    if (this.ended) return;
    this.state = state;
    this.reason = reason;
    this.context.changed();
  }
}

/** @param {Uint8Array} digest */
export function hex(digest) {
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
