// Everybody else in the room, and the links to them as they come, are renewed and go. No DOM.

import { cleanName } from '../protocol/room.js';
import { Allowance } from './allowance.js';
import { isHeard } from './chat.js';
import { FileExchange } from './files/exchange.js';
import { browserIceServers } from './ice_servers.js';
import { Link } from './link.js';
import { Participant } from './participant.js';

/** @import { Clock, IceServer, PeerInfo, PeerLeft, SignalBody } from '../protocol/types.js' */
/** @import { Hash } from './files/transfer.js' */

/** Far more than a mesh carries; a browser has some hundred connections, and a server that lies must not use them up. */
const MOST_LINKS = 64;
/** More chat messages than anybody writes or pastes, of which each may be ten; a flood of them must not stop the page. */
const CHAT = { burst: 200, perSecond: 3 };

/** How often a link may be made anew, which costs both sides a connection. */
const REMAKES = { burst: 3, perSecond: 1 / 60 };

/**
 * @typedef {object} PeopleOptions
 * @property {(configuration: RTCConfiguration) => RTCPeerConnection} createConnection
 * @property {() => MediaStream} newStream
 * @property {boolean} relayOnly
 * @property {() => Promise<Hash>} newHash SHA-256
 * @property {Clock} clock
 * @property {(to: string, body: SignalBody) => void} sendSignal
 * @property {(participant: Participant) => void} onLink a link is new and has neither sent nor been told anything
 * @property {(participant: Participant, data: unknown) => void} onChat a message of the chat channel, as it came
 * @property {(participant: Participant) => void} onLeft
 * @property {(info: PeerInfo) => void} onBack somebody who had hung up is there again
 * @property {(participant: Participant, interrupted: boolean) => void} onInterrupted the way to them is interrupted, or there again
 * @property {() => boolean} isHeard whether the server hears us
 * @property {() => void} onSilence nothing comes any more over any of the ways that had carried
 * @property {(name: string, file: string) => void} onFile somebody offers a file
 * @property {() => void} onChange
 */

export class People {
  #options;
  /** @type {Map<string, Participant>} */ #participants = new Map();
  /** Who has hung up and is away: a page that was left, or is being loaded anew. @type {Set<string>} */ #hungUp = new Set();
  /** Other viewers, if we are one: nothing flows between us. @type {Map<string, PeerInfo>} */ #audience = new Map();
  /** @type {IceServer[]} */ #iceServers = [];
  /** Whether we only watch. */ watching = false;

  /** @param {PeopleOptions} options */
  constructor(options) {
    this.#options = options;
  }

  /** Those who were there first first. */
  get list() {
    return [...this.#participants.values()];
  }

  /** Those in the room whom we have no connection to. */
  get audience() {
    return [...this.#audience.values()];
  }

  /** @param {string} id */
  get(id) {
    return this.#participants.get(id);
  }

  /**
   * Anybody's name; undefined for those who are not in the room.
   * @param {string} id
   */
  nameOf(id) {
    const viewer = this.#audience.get(id);
    return viewer ? cleanName(viewer.name) : this.#participants.get(id)?.name;
  }

  /**
   * The room as the server tells it when it is entered.
   * @param {PeerInfo[]} peers
   */
  entered(peers) {
    const present = new Set(peers.map(({ peer }) => peer));
    this.#audience.clear();
    for (const participant of this.list) {
      if (!present.has(participant.id)) this.#lost(participant);
    }
    for (const info of peers) {
      const known = this.#participants.get(info.peer);
      // They have not left, but we have come back to them as somebody new.
      if (known) this.#renew(known, info);
      else this.joined(info);
    }
  }

  /**
   * The room as the server tells it when our session goes on in it.
   * @param {PeerInfo[]} peers
   * @param {boolean} [restored] whether it is that of an earlier page: what they have said to that means nothing to this one
   */
  resumed(peers, restored = false) {
    const present = new Set(peers.map(({ peer }) => peer));
    for (const participant of this.list) {
      // A server that has just started waits for them as we do, and will say when they have left.
      if (!present.has(participant.id) && !participant.forgotten) this.updated({ ...participant.info, state: 'away' });
    }
    for (const info of peers) this.joined(info);
    if (restored) for (const participant of this.list) participant.stale = true;
  }

  /** @param {{from: string} & SignalBody} message */
  signalled(message) {
    const participant = this.#participants.get(message.from);
    if (participant && (!participant.stale || participant.introduced)) participant.link.receive(message);
  }

  /**
   * @param {PeerInfo} info
   * @returns {boolean} whether they were unknown
   */
  joined(info) {
    if (this.#participants.has(info.peer)) {
      this.updated(info);
      return false;
    }
    if (this.watching && info.role === 'viewer') {
      const known = this.#audience.has(info.peer);
      this.#audience.set(info.peer, info);
      return !known;
    }
    if (this.#participants.size >= MOST_LINKS) return false;
    const link = this.#createLink(info);
    const participant = new Participant(info, link, this.#createExchange(cleanName(info.name)), new Allowance(REMAKES, this.#options.clock));
    this.#participants.set(info.peer, participant);
    this.#options.onLink(participant);
    return true;
  }

  /** @param {PeerInfo} info */
  updated(info) {
    const participant = this.#participants.get(info.peer);
    if (participant) {
      participant.info = info;
      participant.forgotten = false;
      if (!participant.away) return participant.link.findWay();
      participant.wasAway = true;
      // Their link was closed in good order: they are gone, until they come back.
      if (participant.hungUp) this.#hangUp(participant);
    } else if (this.#audience.has(info.peer)) {
      this.#audience.set(info.peer, info);
    } else if (info.state === 'here') {
      // Who had hung up, or was taken for gone too early.
      this.#hungUp.delete(info.peer);
      if (this.joined(info)) this.#options.onBack(info);
    }
  }

  /** @param {PeerLeft} message */
  left({ peer, reason }) {
    this.#audience.delete(peer);
    this.#hungUp.delete(peer);
    const participant = this.#participants.get(peer);
    if (!participant) return;
    if (reason === 'timeout') this.#lost(participant);
    else this.#remove(participant);
  }

  /**
   * Which page somebody's is, as they have proven. Whoever came back after a loss is the same person on the screen, and the
   * old link goes on until the new one carries.
   * @param {Participant} participant
   * @param {string} page
   */
  recognise(participant, page) {
    if (this.#participants.get(participant.id) !== participant) return;
    participant.page = page;
    for (const other of this.list) {
      if (other === participant || other.page !== page) continue;
      this.#participants.delete(other.id);
      participant.adopt(other);
      this.#retire(participant, other.link);
      other.previous?.close();
    }
    this.#linkChanged(participant.link);
  }

  /**
   * Fresh STUN and TURN servers, for every link there is and to come.
   * @param {IceServer[]} iceServers
   */
  setIceServers(iceServers) {
    this.#iceServers = iceServers;
    for (const { link } of this.list) link.setIceServers(browserIceServers(iceServers));
  }

  /** A relay is gone: links through one, or whose way is not known, look for another way. */
  relayLost() {
    for (const { link } of this.list) {
      if (!link.carries || link.statistics.path === null || link.statistics.path === 'relay') link.restartIce();
    }
  }

  /** Links that have lost their way look for another one now: with the server or a relay back they can agree on it. */
  findWays() {
    for (const { link } of this.list) link.findWay();
  }

  close() {
    for (const participant of this.list) participant.close();
    this.#participants.clear();
  }

  /**
   * @param {Participant} known
   * @param {PeerInfo} info
   */
  #renew(known, info) {
    known.info = info;
    known.forgotten = false;
    known.meetAnew();
    this.replaceLink(known);
  }

  /**
   * Another link to somebody; the one that is there carries until then.
   * @param {Participant} participant
   */
  replaceLink(participant) {
    this.#retire(participant, participant.link);
    participant.link = this.#createLink(participant.info);
    this.#options.onLink(participant);
  }

  /**
   * A connection that refuses everything is made anew, on both sides, where the other one can do that.
   * @param {Link} link
   */
  #linkBroken(link) {
    const owner = this.#ownerOf(link);
    if (owner?.link !== link || !owner.numbered || !owner.remakes.take()) return;
    owner.linkNumber += 1;
    // What they say until they have heard of it is about the other one.
    owner.stale = true;
    owner.introduced = false;
    this.replaceLink(owner);
  }

  /**
   * Signaling lost sight of them. While media flows they are still in the call.
   * @param {Participant} participant
   */
  #lost(participant) {
    if (participant.state !== 'connected') return this.#remove(participant);
    participant.info = { ...participant.info, state: 'away' };
    participant.forgotten = true;
  }

  /**
   * Somebody is on another page than before: everything between us begins anew.
   * @param {Participant} participant
   */
  renew(participant) {
    participant.close();
    participant.previous = null;
    participant.hungUp = false;
    participant.files = this.#createExchange(participant.name);
    participant.link = this.#createLink(participant.info);
    this.#options.onLink(participant);
  }

  /** @param {Participant} participant */
  #hangUp(participant) {
    this.#remove(participant);
    this.#hungUp.add(participant.id);
  }

  /** @param {Participant} participant */
  #remove(participant) {
    if (this.#participants.get(participant.id) !== participant) return;
    this.#participants.delete(participant.id);
    participant.close();
    this.#options.onLeft(participant);
  }

  /**
   * @param {Participant} participant
   * @param {Link} link
   */
  #retire(participant, link) {
    participant.previous?.close();
    participant.previous = link;
  }

  /** @param {string} name */
  #createExchange(name) {
    const { newHash, clock, onChange, onFile } = this.#options;
    return new FileExchange({ newHash, clock, onChange, onOffer: (file) => onFile(name, file) });
  }

  /**
   * @param {PeerInfo} info
   * @param {RTCBundlePolicy} [bundlePolicy] one transport for everything, unless the other side can only have several
   */
  #createLink(info, bundlePolicy = 'max-bundle') {
    const { createConnection, newStream, clock, relayOnly } = this.#options;
    const chat = new Allowance(CHAT, clock);
    const link = new Link({
      createConnection: () =>
        createConnection({
          iceServers: browserIceServers(this.#iceServers),
          iceTransportPolicy: relayOnly ? 'relay' : 'all',
          bundlePolicy,
        }),
      polite: info.polite,
      newStream,
      clock,
      // Once another one has taken its place, what it says would be taken for that one's.
      send: (body) => this.#ownerOf(link)?.previous !== link && this.#options.sendSignal(info.peer, body),
      onChange: () => this.#linkChanged(link),
      onChat: (data) => {
        const owner = this.#ownerOf(link);
        // That a line of ours was heard costs nothing: as many come as we have sent.
        if (owner && (isHeard(data) || chat.take())) this.#options.onChat(owner, data);
      },
      onFiles: () => this.#ownerOf(link)?.attachFiles(),
      onClosed: () => this.#linkClosed(link),
      onBroken: () => this.#linkBroken(link),
      mayRestart: () => {
        const owner = this.#ownerOf(link);
        return this.#options.isHeard() && owner?.link === link && !owner.away;
      },
      onSilence: () => {
        if (!this.list.some(({ active }) => active.carries)) this.#options.onSilence();
      },
      onUnbundled: bundlePolicy === 'max-bundle' ? (body) => this.#unbundle(link, body) : null,
    });
    return link;
  }

  /**
   * @param {Link} link
   * @param {SignalBody} offer
   */
  #unbundle(link, offer) {
    const owner = this.#ownerOf(link);
    if (owner?.link !== link) return;
    link.close();
    owner.link = this.#createLink(owner.info, 'balanced');
    this.#options.onLink(owner);
    owner.link.receive(offer);
  }

  /** @param {Link} link */
  #ownerOf(link) {
    return this.list.find((participant) => participant.link === link || participant.previous === link);
  }

  /** @param {Link} link */
  #linkChanged(link) {
    const owner = this.#ownerOf(link);
    if (owner?.link === link && link.state === 'connected' && owner.previous) {
      owner.previous.close();
      owner.previous = null;
    }
    // While the server waits for them it will say when they have left.
    if (owner?.forgotten && (link.state === 'failed' || link.state === 'full')) this.#linkClosed(link);
    if (owner) this.#tellInterruption(owner);
    this.#options.onChange();
  }

  /** @param {Participant} participant */
  #tellInterruption(participant) {
    const { state, interrupted } = participant;
    if (interrupted ? state !== 'connected' : state !== 'interrupted') return;
    participant.interrupted = !interrupted;
    this.#options.onInterrupted(participant, participant.interrupted);
  }

  /**
   * The other side hung up. While the server says they are here, they come back with a new offer or leave; and while it waits for
   * them, what ends after an interruption may be the interruption's doing.
   * @param {Link} link
   */
  #linkClosed(link) {
    const owner = this.#ownerOf(link);
    if (!owner) return;
    if (owner.previous === link) {
      link.close();
      owner.previous = null;
    } else if (owner.forgotten) {
      this.#remove(owner);
    } else if (link.state === 'connected') {
      owner.hungUp = true;
      if (owner.away) this.#hangUp(owner);
    }
    this.#options.onChange();
  }
}
