// The place of this tab in a locked room. Whoever reloads the page, or opens the browser again after a crash, comes back to it: as a
// newcomer they would be locked out. One tab at a time holds it; a tab that was duplicated is somebody else.

/** @import { Session } from './protocol/signaling.js' */

/**
 * @typedef {object} Place
 * @property {string} room
 * @property {Session} session
 * @property {{audio: boolean, video: boolean}} media what was on, so that nobody is heard again who was muted
 *
 * What the browser has; each is missing somewhere.
 * @typedef {object} Keeping
 * @property {Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>} storage of the tab (`sessionStorage`)
 * @property {Pick<LockManager, 'request'> | undefined} locks absent on insecure pages: there only a page that was left in good order
 *   leaves its place behind
 * @property {() => string} newId
 * @property {() => number} now in milliseconds
 */

/** In the tab's storage; room-page.js looks whether there is one. */
const KEY = 'callbox.seat';
/** How long a page may take to go away when the next one is there already, in milliseconds. */
const HANDOVER_MS = 1000;
/** How much longer than the server waits a place is tried, in milliseconds: one that nobody has left is kept as often as something changes. */
const GRACE_MS = 60_000;

export class Seat {
  #keeping;
  #holder = '';
  /** Ends the lock. */ #release = () => {};

  /** @param {Keeping} keeping */
  constructor(keeping) {
    this.#keeping = keeping;
  }

  /**
   * The place that an earlier page of this tab has left, if it was in this room and no other tab holds it.
   * @param {string} room
   * @returns {Promise<Place | null>}
   */
  async take(room) {
    const { storage, locks, now } = this.#keeping;
    const left = read(storage);
    // A tab that is opened again the next morning enters nothing by itself.
    const age = left ? now() - left.at : 0;
    const isFresh = left !== null && age >= 0 && age <= left.session.windowS * 1000 + GRACE_MS;
    const isOurs = isFresh && left.room === room && (locks ? await this.#lock(left.holder, HANDOVER_MS) : left.isLeft);
    if (isOurs && locks) return left;
    // A copy of another tab's, or one that must not be copied.
    remove(storage);
    return isOurs ? left : null;
  }

  /**
   * Keeps the place as it is at present.
   * @param {Place} place
   * @param {boolean} isLeft whether the page is going away
   */
  keep(place, isLeft = false) {
    const { storage, locks, newId, now } = this.#keeping;
    if (!locks && !isLeft) return;
    if (locks && !this.#holder) void this.#lock(newId());
    try {
      storage.setItem(KEY, JSON.stringify({ ...place, holder: this.#holder, isLeft, at: now() }));
    } catch {
      // It is full: what is there is of before.
      remove(storage);
    }
  }

  /** There is nothing to come back to. */
  drop() {
    remove(this.#keeping.storage);
    this.release();
  }

  /** Lets the next page of this tab have it. */
  release() {
    this.#holder = '';
    this.#release();
  }

  /**
   * @param {string} holder
   * @param {number} [limitMs] how long another page may hold it
   * @returns {Promise<boolean>} whether it is ours
   */
  #lock(holder, limitMs) {
    this.#holder = holder;
    // It may be given up before it is granted.
    const isOver = new Promise((/** @type {(value?: unknown) => void} */ release) => (this.#release = release));
    return new Promise((resolve) => {
      const signal = limitMs === undefined ? undefined : AbortSignal.timeout(limitMs);
      const held = () => {
        resolve(true);
        return isOver;
      };
      this.#keeping.locks?.request(`${KEY} ${holder}`, { ...(signal && { signal }) }, held).catch(() => {
        if (this.#holder === holder) this.#holder = '';
        resolve(false);
      });
    });
  }
}

/** @param {Keeping['storage']} storage */
function remove(storage) {
  try {
    storage.removeItem(KEY);
  } catch {
    // A browser that denies it has kept nothing.
  }
}

/**
 * @param {Keeping['storage']} storage
 * @returns {(Place & {holder: string, isLeft: boolean, at: number}) | null}
 */
function read(storage) {
  try {
    const left = JSON.parse(storage.getItem(KEY) ?? '');
    const { room, holder, session, media, at } = left;
    const isWhole = typeof room === 'string' && typeof holder === 'string' && typeof session.ticket === 'string' && typeof media.audio === 'boolean';
    return isWhole && [session.received, session.sent, session.windowS, at].every(Number.isSafeInteger) ? left : null;
  } catch {
    return null;
  }
}
