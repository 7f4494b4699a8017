import { cleanName } from '../protocol/room.js';
import { noPresence } from './gestures.js';

/** @import { PeerInfo } from '../protocol/types.js' */
/** @import { Allowance } from './allowance.js' */
/** @import { ChatMessage } from './chat.js' */
/** @import { FileExchange } from './files/exchange.js' */
/** @import { Reaction } from './gestures.js' */
/** @import { Link, LinkState } from './link.js' */
/** @import { Order } from './order.js' */

/**
 * A line that went into a data channel, until they say that they have it.
 * @typedef {{message: ChatMessage, n: number, link: Link}} Unheard
 */

/** Somebody else in the call. */
export class Participant {
  /** @type {Link} */ link;
  /** The link before a reconnection; it carries on until the new one does. @type {Link | null} */ previous = null;
  /** Which page theirs is, once proven. @type {string | null} */ page = null;
  /** Whether we have been told that the way to them is interrupted. */ interrupted = false;
  /** Whether the server has forgotten them, so that their link alone tells when they are gone. */ forgotten = false;
  /** Whether they have told about their streams. */ introduced = false;
  /** Which stream is their screen, as they have told. @type {string | null} */ screen = null;
  /** Whether they have been away since. */ wasAway = false;
  /** Whether their page has closed the link. */ hungUp = false;
  /** Whether what they say of links is meant for the page before ours, until they have told about their streams. */ stale = false;
  /** Which link it is between us, counted by both: it has been made anew so often. */ linkNumber = 0;
  /** Whether their page counts links and lines. */ numbered = false;
  /** Their lines, of the page that they are on. @type {{of: string, order: Order<ChatMessage>} | null} */ lines = null;
  /** By number. @type {Map<number, Unheard>} */ unheard = new Map();

  /** What they have told about themselves. */ presence = noPresence();
  /** Their reaction, while it is shown. @type {Reaction | null} */ reaction = null;
  /** Files to and from them. */ files;

  /**
   * @param {PeerInfo} info
   * @param {Link} link
   * @param {FileExchange} files
   * @param {Allowance} remakes how often the link may be made anew
   */
  constructor(info, link, files, remakes) {
    this.info = info;
    this.link = link;
    this.files = files;
    this.remakes = remakes;
  }

  /** Our session or theirs is another one: between us nothing has been said yet. */
  meetAnew() {
    this.linkNumber = 0;
    this.stale = this.introduced = false;
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

  /** Files go over the newest link as soon as it carries. */
  attachFiles() {
    if (this.link.files.readyState === 'open') this.files.attach(this.link.files);
  }

  /**
   * They came back as somebody new: what was under way goes on.
   * @param {Participant} before
   */
  adopt(before) {
    this.lines ??= before.lines;
    for (const [n, line] of before.unheard) this.unheard.set(n, line);
    this.files.end();
    this.files = before.files;
    this.attachFiles();
  }

  close() {
    this.files.end();
    this.link.close();
    this.previous?.close();
  }
}
