// What is said on the `files` channel. Pure.
//
// Text messages are JSON; a binary message is a chunk: the transfer's number in 4 bytes, where it belongs in the file in
// 8, both big-endian, and then content. Numbers are given by the sender of a file, each side from its own.

import { parseObject } from '../echo.js';

const HEADER_BYTES = 12;
/** Content of one chunk, in bytes: with its header the 16 KiB that every browser takes, and others do not wait long behind. */
export const CHUNK_BYTES = 16 * 1024 - HEADER_BYTES;
/** What a receiver lets come beyond what it has written, in bytes: this bounds its memory. */
export const WINDOW_BYTES = 4 * 1024 * 1024;
/** Offers that may wait for an answer at the same time; more are refused by themselves. */
export const MOST_OFFERS = 20;

/** Longest name that is looked at, in UTF-16 units. */
const LONGEST_NAME = 1024;

/**
 * Why a transfer failed. `size`: more or less came than was offered. `hash`: other content came than was sent.
 * `read`: the sender's file cannot be read any more. `write`: the receiver cannot store it. `lost`: the other side is gone.
 * `limit`: the sender did not keep to the receiver's limits.
 * @typedef {'size' | 'hash' | 'read' | 'write' | 'lost' | 'limit'} FailureReason
 *
 * Of the sender: `offer` (again after a reconnection), `done`.
 * Of the receiver: `credit` (bytes from the beginning that may be sent; the first one accepts, and `from` is where to go
 * on), `refuse`, `verified`.
 * Of both: `ready` (first of all, tells that this side knows files), `pause`, `resume`, `cancel` (with a reason when it
 * is a failure). `mine` tells whether the number was given by the one who speaks.
 * @typedef {{type: 'ready'}
 *   | {type: 'offer', id: number, name: string, size: number}
 *   | {type: 'credit', id: number, from: number | null, upTo: number}
 *   | {type: 'refuse', id: number}
 *   | {type: 'done', id: number, sha256: string}
 *   | {type: 'verified', id: number}
 *   | {type: 'pause' | 'resume', id: number, mine: boolean}
 *   | {type: 'cancel', id: number, mine: boolean, reason: FailureReason | null}} FileMessage
 */

const REASONS = ['size', 'hash', 'read', 'write', 'lost', 'limit'];

/**
 * @param {string} text
 * @returns {FileMessage | null} null for what this version does not know, or what makes no sense
 */
export function readMessage(text) {
  const message = parseObject(text);
  if (!message) return null;
  const { type } = message;
  if (type === 'ready') return { type };
  const id = integer(message.id, 1, 2 ** 32 - 1);
  if (id === null) return null;
  switch (type) {
    case 'offer': {
      const size = integer(message.size, 0, Number.MAX_SAFE_INTEGER);
      return size === null || typeof message.name !== 'string' ? null : { type, id, name: message.name.slice(0, LONGEST_NAME), size };
    }
    case 'credit': {
      const upTo = integer(message.upTo, 0, Number.MAX_SAFE_INTEGER);
      return upTo === null ? null : { type, id, from: integer(message.from, 0, Number.MAX_SAFE_INTEGER), upTo };
    }
    case 'done':
      return typeof message.sha256 === 'string' ? { type, id, sha256: message.sha256 } : null;
    case 'refuse':
    case 'verified':
      return { type, id };
    case 'pause':
    case 'resume':
      return { type, id, mine: message.mine === true };
    case 'cancel': {
      const reason = /** @type {FailureReason | null} */ (REASONS.find((known) => known === message.reason) ?? null);
      return { type, id, mine: message.mine === true, reason };
    }
    default:
      return null;
  }
}

/**
 * @param {unknown} value
 * @param {number} least
 * @param {number} most
 */
function integer(value, least, most) {
  return typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most ? value : null;
}

/**
 * Writes one chunk after the other into the same place: each is to be sent, which copies it, before the next.
 * @returns {(id: number, offset: number, content: Uint8Array) => Uint8Array<ArrayBuffer>} content of up to `CHUNK_BYTES`
 */
export function chunkWriter() {
  const message = new Uint8Array(HEADER_BYTES + CHUNK_BYTES);
  const header = new DataView(message.buffer);
  return (id, offset, content) => {
    header.setUint32(0, id);
    header.setBigUint64(4, BigInt(offset));
    message.set(content, HEADER_BYTES);
    // Each view that is handed to the browser is an object of its own there, which is collected late.
    return content.length === CHUNK_BYTES ? message : message.subarray(0, HEADER_BYTES + content.length);
  };
}

/**
 * @param {ArrayBuffer} message
 * @returns {{id: number, offset: number, content: Uint8Array<ArrayBuffer>} | null}
 */
export function readChunk(message) {
  if (message.byteLength <= HEADER_BYTES) return null;
  const header = new DataView(message);
  const offset = Number(header.getBigUint64(4));
  return { id: header.getUint32(0), offset, content: new Uint8Array(message, HEADER_BYTES) };
}
