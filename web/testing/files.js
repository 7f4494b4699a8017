// Two people's ends of a data channel, and what stands in for files and disks.

import { FileExchange } from '../src/call/files/exchange.js';
import { newSha256 } from '../src/call/files/sha256.js';
import { FakeClock } from './random.js';

/** @import { Sink } from '../src/call/files/incoming.js' */

/** Lets everything go on that waits for nothing but its turn. */
export const turn = () => new Promise((resolve) => setImmediate(resolve));

/** One end of a channel: what is sent waits in it and arrives one message a step, in order. */
class FakeEnd {
  readyState = 'open';
  bufferedAmount = 0;
  mostBuffered = 0;
  bufferedAmountLowThreshold = 0;
  binaryType = 'blob';
  /** @type {((event: any) => void) | null} */ onmessage = null;
  /** @type {((event: any) => void) | null} */ onbufferedamountlow = null;
  /** @type {((event: any) => void) | null} */ onclose = null;
  /** @type {(string | Uint8Array)[]} */ queue = [];
  /** @type {FakeEnd | null} */ other = null;

  /** @param {any} data */
  send(data) {
    if (this.readyState !== 'open') throw new Error('InvalidStateError');
    this.queue.push(typeof data === 'string' ? data : data.slice());
    this.bufferedAmount += sizeOf(data);
    this.mostBuffered = Math.max(this.mostBuffered, this.bufferedAmount);
  }

  /** @returns {boolean} whether there was something */
  deliver() {
    const data = this.queue.shift();
    if (data === undefined) return false;
    const before = this.bufferedAmount;
    this.bufferedAmount -= sizeOf(data);
    this.other?.onmessage?.({ data: typeof data === 'string' ? data : data.buffer });
    const { bufferedAmountLowThreshold: low } = this;
    if (before > low && this.bufferedAmount <= low) this.onbufferedamountlow?.({});
    return true;
  }
}

/** @param {string | Uint8Array} data */
const sizeOf = (data) => (typeof data === 'string' ? data.length : data.byteLength);

export class FakeChannel {
  near = new FakeEnd();
  far = new FakeEnd();

  constructor() {
    this.near.other = this.far;
    this.far.other = this.near;
  }

  /** Whatever is on its way is lost. */
  cut() {
    for (const end of [this.near, this.far]) {
      end.readyState = 'closed';
      end.queue = [];
      end.onclose?.({});
    }
  }

  /** Delivers up to `steps` messages of each direction, and lets both sides work in between. */
  async run(steps = Infinity) {
    for (let idle = 0, step = 0; idle < 4 && step < steps; step += 1) {
      const moved = [this.near.deliver(), this.far.deliver()].includes(true);
      await turn();
      idle = moved ? 0 : idle + 1;
    }
  }
}

/** Two people, not connected yet. */
export function twoPeople() {
  const clock = new FakeClock();
  const person = () => new FileExchange({ newHash: newSha256, onChange: () => {}, onOffer: () => {}, clock });
  const near = person();
  const far = person();
  const connect = () => {
    const channel = new FakeChannel();
    near.attach(/** @type {any} */ (channel.near));
    far.attach(/** @type {any} */ (channel.far));
    return channel;
  };
  return { near, far, clock, connect };
}

/**
 * @param {Uint8Array} content
 * @param {string} [name]
 */
export function fakeFile(content, name = 'notes.txt') {
  return {
    name,
    size: content.length,
    stream: (/** @type {number} */ from) => streamOf(content.slice(from)),
  };
}

/**
 * A stream of bytes as a file's is: it fills the memory that it is given, as much at a time as it likes.
 * @param {Uint8Array} content
 * @param {number} [most] bytes at a time
 * @returns {ReadableStream<Uint8Array<ArrayBuffer>>}
 */
export function streamOf(content, most = 65_536) {
  let at = 0;
  return new ReadableStream({
    type: 'bytes',
    autoAllocateChunkSize: 4096,
    pull(controller) {
      const request = /** @type {ReadableStreamBYOBRequest} */ (controller.byobRequest);
      const view = /** @type {Uint8Array} */ (request.view);
      const part = content.subarray(at, at + Math.min(most, view.byteLength));
      at += part.length;
      if (part.length === 0) controller.close();
      else new Uint8Array(view.buffer, view.byteOffset).set(part);
      request.respond(part.length);
    },
  });
}

/** A disk that is as slow as told, and may fail. */
export class FakeSink {
  /** @type {Uint8Array[]} */ parts = [];
  /** @type {'open' | 'closed' | 'aborted'} */ state = 'open';
  /** What came and is not written yet, in bytes. */ waiting = 0;
  /** Bytes after which the disk is full. */ room = Infinity;
  /** Awaited before each write. */ slowness = async () => {};

  get content() {
    return Buffer.concat(this.parts);
  }

  /** @type {Sink['write']} */
  write = async (content) => {
    await this.slowness();
    if (this.content.length + content.length > this.room) throw new Error('QuotaExceededError');
    this.parts.push(content.slice());
  };

  close = async () => {
    this.state = 'closed';
  };

  abort = async () => {
    this.state = 'aborted';
  };
}
