import { cleanName } from '../protocol/room.js';

/** @import { PeerInfo } from '../protocol/types.js' */
/** @import { Link, LinkState } from './link.js' */

/** Somebody else in the call. */
export class Participant {
  /** @type {Link} */ link;
  /** The link before a reconnection; it carries on until the new one does. @type {Link | null} */ previous = null;
  /** Their page's own id, once told. @type {string | null} */ instance = null;

  /**
   * @param {PeerInfo} info
   * @param {Link} link
   */
  constructor(info, link) {
    this.info = info;
    this.link = link;
  }

  get id() {
    return this.info.peer;
  }

  get name() {
    return cleanName(this.info.name);
  }

  /** Whether they lost signaling; their media may go on. */
  get away() {
    return this.info.state === 'away';
  }

  /** The link that carries media now. */
  get active() {
    return this.previous && this.link.state !== 'connected' ? this.previous : this.link;
  }

  /** @returns {LinkState} */
  get state() {
    return this.active.state;
  }

  get relayed() {
    return this.active.statistics.path === 'relay';
  }

  close() {
    this.link.close();
    this.previous?.close();
  }
}
