// What has come: up to where, from whom, and who is there.

/** @import { InMessage, Welcome } from './types.js' */

export class Inbox {
  /** The highest `seq`. */ received = 0;
  /** Highest `id` of each sender. Peer ids are never given twice, so this outlives sessions. @type {Map<string, number>} */ #seen = new Map();
  /** Who is in the room. @type {Set<string>} */ #peers = new Set();

  /** A process that does not know the room learns from it who is still to be waited for. */
  get peers() {
    return [...this.#peers];
  }

  /**
   * Those whom a welcome does not list stay, if the session goes on.
   * @param {Welcome} welcome
   */
  enter({ room }) {
    for (const { peer } of room.peers) this.#peers.add(peer);
  }

  forgetSession() {
    this.received = 0;
    this.#peers.clear();
  }

  /**
   * Takes a message.
   * @param {InMessage} message
   * @returns {boolean} whether it is new
   */
  take(message) {
    if ('seq' in message) {
      if (message.seq <= this.received) return false;
      this.received = message.seq;
    }
    if (message.type === 'peer_joined') this.#peers.add(message.peer.peer);
    if (message.type === 'peer_left') this.#peers.delete(message.peer);
    return !('from' in message) || this.#isFirst(message.from, message.id);
  }

  /**
   * Ids of one sender only grow; one that does not was sent again although it had arrived.
   * @param {string} from
   * @param {number} id
   */
  #isFirst(from, id) {
    if (id <= (this.#seen.get(from) ?? 0)) return false;
    this.#seen.set(from, id);
    return true;
  }
}
