// What this client has sent and does not know to be delivered.

/** @import { OutMessage } from './types.js' */

/** What may wait for its delivery, in characters of JSON. */
export const PENDING_CHARACTERS = 1024 * 1024;

export class Outbox {
  #last = 0;
  #size = 0;
  /** In order of their ids. @type {Map<number, {message: OutMessage, frame: string}>} */ #pending = new Map();

  /**
   * Gives a message its `id` and keeps it; null when too much is kept already.
   * @param {OutMessage} message
   * @returns {{id: number, frame: string} | null}
   */
  push(message) {
    const id = this.#last + 1;
    const { type, ...fields } = message;
    // In the order in which the server reads fastest.
    const frame = JSON.stringify({ type, id, ...fields });
    if (this.#size + frame.length > PENDING_CHARACTERS) return null;
    this.#last = id;
    this.#size += frame.length;
    this.#pending.set(id, { message, frame });
    return { id, frame };
  }

  /**
   * This message has its outcome.
   * @param {number} id
   * @returns {OutMessage | null} null when that is no news
   */
  settle(id) {
    const kept = this.#pending.get(id);
    if (!kept) return null;
    this.#pending.delete(id);
    this.#size -= kept.frame.length;
    return kept.message;
  }

  /**
   * What has no outcome yet and a higher `id`, in order.
   * @param {number} id
   */
  framesAfter(id) {
    return [...this.#pending].filter(([other]) => other > id).map(([, { frame }]) => frame);
  }

  /** The session is over, and the next one counts from 1: what had no outcome. */
  abandon() {
    const left = [...this.#pending].map(([id, { message }]) => ({ id, message }));
    this.#pending.clear();
    this.#last = 0;
    this.#size = 0;
    return left;
  }
}
