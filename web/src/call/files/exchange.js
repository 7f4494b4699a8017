// All files to and from one person, over connections that may come and go. No DOM.

import { Allowance } from '../allowance.js';
import { IncomingTransfer } from './incoming.js';
import { MOST_OFFERS, readChunk, readMessage } from './messages.js';
import { BUFFER_BYTES, OutgoingTransfer } from './outgoing.js';

/** @import { Clock } from '../../protocol/types.js' */
/** @import { FileMessage } from './messages.js' */
/** @import { Source } from './outgoing.js' */
/** @import { FilesChannel, Hash, TransferContext } from './transfer.js' */

/** Progress is told at most this often, in milliseconds. */
const PROGRESS_INTERVAL_MS = 250;
/** Offers of new files: whole folders come at once, but not for ever. */
const OFFERS = { burst: 100, perSecond: 1 };

/**
 * @typedef {object} ExchangeOptions
 * @property {() => Promise<Hash>} newHash SHA-256
 * @property {() => void} onChange
 * @property {(name: string) => void} onOffer somebody wants to send a file of this name
 * @property {Clock} clock
 */

export class FileExchange {
  #options;
  /** @type {FilesChannel | null} */ #channel = null;
  /** Whether the other side knows files. */ #ready = false;
  /** @type {Map<number, OutgoingTransfer>} */ #outgoing = new Map();
  /** @type {Map<number, IncomingTransfer>} */ #incoming = new Map();
  #nextId = 1;
  /** @type {number | undefined} */ #progressTimer;
  /** @type {TransferContext} */ #context;
  #offers;

  /** @param {ExchangeOptions} options */
  constructor(options) {
    this.#options = options;
    const { newHash, clock, onChange } = options;
    this.#offers = new Allowance(OFFERS, clock);
    this.#context = {
      newHash,
      clock,
      changed: onChange,
      progressed: () => this.#progressed(),
      flow: () => this.#pump(),
      channel: () => this.#channel,
      tell: (message) => this.#tell(message),
    };
  }

  /** Whether files can be sent now. */
  get open() {
    return this.#ready && this.#channel !== null;
  }

  get outgoing() {
    return [...this.#outgoing.values()];
  }

  get incoming() {
    return [...this.#incoming.values()];
  }

  /**
   * Goes on over this channel, which is open; transfers that were under way go on where they were.
   * @param {FilesChannel} channel
   */
  attach(channel) {
    if (this.#channel === channel) return;
    this.detach();
    this.#channel = channel;
    channel.binaryType = 'arraybuffer';
    channel.bufferedAmountLowThreshold = BUFFER_BYTES / 2;
    channel.onmessage = ({ data }) => this.#receive(data);
    channel.onbufferedamountlow = () => this.#pump();
    channel.onclose = () => {
      if (this.#channel === channel) this.detach();
    };
    this.#tell({ type: 'ready' });
    // Fetched while the server is there: it need not be when the first file comes.
    void this.#options.newHash().catch(() => undefined);
  }

  detach() {
    const channel = this.#channel;
    if (!channel) return;
    channel.onmessage = null;
    channel.onbufferedamountlow = null;
    channel.onclose = null;
    this.#channel = null;
    this.#ready = false;
    this.#options.onChange();
  }

  /** The person has left. */
  end() {
    this.detach();
    for (const transfer of this.#outgoing.values()) transfer.end('failed', 'lost');
    for (const transfer of this.#incoming.values()) transfer.lose();
    this.#options.clock.clearTimeout(this.#progressTimer ?? 0);
  }

  /**
   * @param {Source} source
   * @returns {OutgoingTransfer}
   */
  offer(source) {
    const transfer = new OutgoingTransfer(this.#nextId++, source, this.#context);
    this.#outgoing.set(transfer.id, transfer);
    if (this.#ready) transfer.announce();
    this.#options.onChange();
    return transfer;
  }

  #pump() {
    for (const transfer of this.#outgoing.values()) void transfer.pump();
  }

  /** @param {FileMessage} message */
  #tell(message) {
    if (this.#channel?.readyState === 'open') this.#channel.send(JSON.stringify(message));
  }

  /** @param {unknown} data */
  #receive(data) {
    if (data instanceof ArrayBuffer) {
      const chunk = readChunk(data);
      if (chunk) this.#incoming.get(chunk.id)?.chunk(chunk.offset, chunk.content);
      return;
    }
    const message = typeof data === 'string' ? readMessage(data) : null;
    if (!message) return;
    switch (message.type) {
      case 'ready':
        this.#ready = true;
        for (const transfer of this.#outgoing.values()) transfer.announce();
        this.#options.onChange();
        break;
      case 'offer':
        this.#offered(message);
        break;
      case 'done':
        this.#incoming.get(message.id)?.receive(message);
        break;
      case 'pause':
      case 'resume':
      case 'cancel':
        // Their number is the sender's: mine when they speak of their own file.
        if (message.mine) this.#incoming.get(message.id)?.receive(message);
        else this.#outgoing.get(message.id)?.receive(message);
        break;
      default:
        this.#outgoing.get(message.id)?.receive(message);
    }
  }

  /** @param {{id: number, name: string, size: number}} offer */
  #offered(offer) {
    const known = this.#incoming.get(offer.id);
    if (known) return known.offeredAgain();
    const waiting = this.incoming.filter(({ state }) => state === 'offered').length;
    const transfer = new IncomingTransfer(offer, this.#context);
    if (waiting >= MOST_OFFERS || !this.#offers.take()) return transfer.refuse();
    this.#incoming.set(offer.id, transfer);
    this.#options.onOffer(transfer.name);
    return this.#options.onChange();
  }

  #progressed() {
    this.#progressTimer ??= this.#options.clock.setTimeout(() => {
      this.#progressTimer = undefined;
      this.#options.onChange();
    }, PROGRESS_INTERVAL_MS);
  }
}
