// What this client has sent and does not know to be delivered.

/** @import { OutMessage } from './types.js' */

/** What may wait for its delivery, in characters of JSON. */
export const PENDING_CHARACTERS = 1024 * 1024;

/** After how many `id`s the bound on them is another one. */
const IDS = 1000;

/**
 * A message on its way. `name` is what the application knows it by: the `id` that it would have if none before it had been refused
 * for a slow recipient, which takes a new `id` each time.
 * `sent`: over how many connections it was sent.
 * @typedef {{name: number, message: OutMessage, frame: string, sent: number}} Pending
 */

export class Outbox {
  #last = 0;
  #lastName = 0;
  #size = 0;
  /** In order of their ids. @type {Map<number, Pending>} */ #pending = new Map();
  /** What waits for slow recipients, by name. @type {Map<number, {message: OutMessage, size: number}>} */ #deferred = new Map();

  /** Some `id` that is higher than all that were given: one for many of them, so that it is kept for a later page seldom. */
  get bound() {
    return (Math.floor(this.#last / IDS) + 1) * IDS;
  }

  /**
   * Gives a message its name and keeps it; null when too much is kept already. With a `frame` it is sent if the client is open;
   * without one it waits behind others for a slow recipient.
   * @param {OutMessage} message
   * @param {boolean} isOpen
   * @returns {{id: number, frame: string | null} | null}
   */
  push(message, isOpen) {
    const id = this.#last + 1;
    const frame = write(message, id);
    if (this.#size + frame.length > PENDING_CHARACTERS) return null;
    this.#size += frame.length;
    const name = ++this.#lastName;
    if ([...this.#deferred.values()].some((other) => overlap(other.message, message))) {
      this.#deferred.set(name, { message, size: frame.length });
      return { id: name, frame: null };
    }
    this.#last = id;
    this.#pending.set(id, { name, message, frame, sent: isOpen ? 1 : 0 });
    return { id: name, frame };
  }

  /**
   * This message has its outcome.
   * @param {number} id
   * @returns {{id: number, message: OutMessage} | null} with its name; null when that is no news
   */
  settle(id) {
    const kept = this.#pending.get(id);
    if (!kept) return null;
    this.#pending.delete(id);
    this.#size -= kept.frame.length;
    return { id: kept.name, message: kept.message };
  }

  /**
   * A recipient has no room for this message: it is to be sent again later. Not one that was sent over another connection, too,
   * where it may have been delivered: sent again with another `id` it might come twice.
   * @param {number} id
   * @returns {boolean} whether it is
   */
  defer(id) {
    const kept = this.#pending.get(id);
    if (!kept || kept.sent > 1) return false;
    this.#pending.delete(id);
    this.#deferred.set(kept.name, { message: kept.message, size: kept.frame.length });
    return true;
  }

  /** What was deferred, in order, each with its new `id`. */
  retry() {
    const deferred = [...this.#deferred].sort(([a], [b]) => a - b);
    this.#deferred.clear();
    return deferred.map(([name, { message, size }]) => {
      const id = ++this.#last;
      const frame = write(message, id);
      this.#size += frame.length - size;
      this.#pending.set(id, { name, message, frame, sent: 1 });
      return frame;
    });
  }

  /**
   * What has no outcome yet and a higher `id`, in order, for another connection.
   * @param {number} id
   */
  framesAfter(id) {
    const pending = [...this.#pending].filter(([other]) => other > id).map(([, kept]) => kept);
    for (const kept of pending) kept.sent += 1;
    return pending.map(({ frame }) => frame);
  }

  /**
   * The session is one that an earlier page has begun: what waits here was never sent, and comes behind what that page has sent.
   * @param {number} last its highest `id`, or a higher one
   */
  follow(last) {
    const waiting = [...this.#pending.values()];
    this.#pending.clear();
    this.#last = last;
    for (const kept of waiting) {
      const id = ++this.#last;
      const frame = write(kept.message, id);
      this.#size += frame.length - kept.frame.length;
      this.#pending.set(id, { ...kept, frame });
    }
  }

  /** The session is over, and the next one counts from 1: what had no outcome. */
  abandon() {
    const pending = [...this.#pending.values()].map(({ name, message }) => ({ id: name, message }));
    const deferred = [...this.#deferred].map(([id, { message }]) => ({ id, message }));
    this.#pending.clear();
    this.#deferred.clear();
    this.#last = 0;
    this.#lastName = 0;
    this.#size = 0;
    return [...pending, ...deferred].sort((a, b) => a.id - b.id);
  }
}

/**
 * In the order in which the server reads fastest.
 * @param {OutMessage} message
 * @param {number} id
 */
function write({ type, ...fields }, id) {
  return JSON.stringify({ type, id, ...fields });
}

/**
 * Whether somebody may get both: then they must come in order.
 * @param {OutMessage} one
 * @param {OutMessage} other
 */
function overlap(one, other) {
  const some = audience(one);
  const others = audience(other);
  if (!some || !others) return some !== null && others !== null;
  return some.some((peer) => others.includes(peer));
}

/**
 * Whom a message is for: undefined for the room, null for the server alone.
 * @param {OutMessage} message
 * @returns {string[] | undefined | null}
 */
function audience(message) {
  if (message.type === 'update' || message.type === 'moderate') return null;
  return message.to === undefined ? undefined : [message.to].flat();
}
