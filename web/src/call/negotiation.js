// Perfect negotiation of one pair of peers (W3C WebRTC, section 10.7), with epochs and without rollbacks.
//
// When offers cross, that of the impolite side counts. The polite side puts its own in force only with the answer to it, so that
// there is never one to be taken back: in Chromium a call whose offer is taken back shows still pictures from then on, and a new
// one may lose its data channels.
//
// An offer opens the epoch after the highest one known; its answer and the candidates that follow carry
// the same number. What arrives with an older number belongs to a negotiation that is over, and is dropped.
// Everything runs on one chain, so that no message is handled in the middle of another.

import { withoutCollisions } from './extmap.js';

/** @import { Candidate } from '../protocol/messages.js' */
/** @import { Clock, SignalBody } from '../protocol/types.js' */

/**
 * How long the polite side leaves the first offer to the other, in milliseconds. Both would like to offer
 * when a pair meets; one offer is enough.
 */
const FIRST_OFFER_WAIT_MS = 1500;

/** How long the polite side leaves an ICE restart to the other, in milliseconds: longer than its offer travels. */
const RESTART_WAIT_MS = 1000;

/** How long an offer that is not in force waits for its answer before another one is made, in milliseconds. */
const ANSWER_LIMIT_MS = 10_000;

/** Candidates kept for a description that has not come; a browser has some twenty. */
const MAX_EARLY = 256;

/**
 * What is needed of an RTCPeerConnection.
 * @typedef {Pick<RTCPeerConnection, 'signalingState' | 'localDescription' | 'remoteDescription'
 *   | 'currentLocalDescription' | 'currentRemoteDescription' | 'createOffer' | 'setLocalDescription' | 'setRemoteDescription' | 'addIceCandidate' | 'restartIce'>} Negotiable
 */

/**
 * @typedef {object} NegotiationOptions
 * @property {Negotiable} connection
 * @property {boolean} polite
 * @property {(body: SignalBody) => void} send
 * @property {(problem: string, error: unknown) => void} onProblem something was dropped or failed;
 *   the negotiation itself goes on
 * @property {(why: 'refused' | 'unfit' | null) => void} [onDescription] a description of the other side is in force, or was refused:
 *   as what it describes would not be encrypted, or by the browser
 * @property {() => void} [onBroken] an answer failed after other descriptions had been in force: some browsers refuse all that follow
 * @property {Clock} clock
 */

export class Negotiation {
  /** @type {NegotiationOptions} */ #options;
  #connection;
  /** Highest epoch known. */ #highest = 0;
  /** Epoch of the newest description, ours or theirs: what we send now belongs to it. */ #epoch = 0;
  /** Epoch of the newest remote description in force. */ #agreed = 0;
  /** Epoch since when the remote side has its present ICE credentials. */ #iceEpoch = 0;
  /** What the polite side has offered and not put in force. @type {{epoch: number, offer: RTCSessionDescriptionInit} | null} */ #proposal = null;
  /** Something must be offered of which the browser does not know. */ #again = false;
  #ignoringOffer = false;
  #waited = false;
  #closed = false;
  /** Candidates that came before any description. @type {(RTCIceCandidateInit | null)[]} */ #early = [];
  /** @type {Promise<void>} */ #chain = Promise.resolve();
  /** @type {number | undefined} */ #firstOfferTimer;
  /** @type {number | undefined} */ #restartTimer;
  /** @type {number | undefined} */ #answerTimer;

  /** @param {NegotiationOptions} options */
  constructor(options) {
    this.#options = options;
    this.#connection = options.connection;
  }

  /** To be called for the connection's `negotiationneeded`. */
  negotiate() {
    if (this.#options.polite && !this.#waited) {
      this.#firstOfferTimer ??= this.#options.clock.setTimeout(() => {
        this.#waited = true;
        this.#enqueue('offer', () => this.#offer());
      }, FIRST_OFFER_WAIT_MS);
      return;
    }
    this.#enqueue('offer', () => this.#offer());
  }

  /** To be called for what browsers do not ask to negotiate, such as preferred codecs. */
  renegotiate() {
    this.#again = true;
    this.negotiate();
  }

  /**
   * To be called for the connection's `icecandidate`; null is the end of candidates.
   * @param {Candidate | null} candidate
   */
  localCandidate(candidate) {
    // Behind an offer, what has a lower number would be dropped.
    if (!this.#closed) this.#options.send({ epoch: this.#proposal?.epoch ?? this.#epoch, candidate });
  }

  /**
   * A `signal` of the other peer.
   * @param {SignalBody} body
   */
  receive(body) {
    if ('description' in body && body.description) {
      const { epoch, description } = body;
      this.#enqueue(description.type, () => this.#description(epoch, description));
    } else if ('candidate' in body) {
      const { epoch, candidate } = body;
      this.#enqueue('candidate', () => this.#candidate(epoch, candidate));
    }
  }

  /**
   * Looks for a new path. The impolite side does so at once. The polite side only when the other has not done it after a
   * while, as it may not know: so one side does, and the two do not restart against each other.
   * @param {boolean} [isUrgent] whether the other side can't know: then the polite one does not wait
   */
  restartIce(isUrgent = false) {
    const { polite, clock } = this.#options;
    if (this.#closed) return;
    if (!polite) return this.#connection.restartIce();
    if (isUrgent) this.keepPath();
    this.#restartTimer ??= clock.setTimeout(
      () => {
        this.#restartTimer = undefined;
        this.#connection.restartIce();
        // The browser had asked for an offer already, when one is on its way.
        if (this.#proposal) this.#proposeAnew();
      },
      isUrgent ? 0 : RESTART_WAIT_MS,
    );
  }

  /** The path is good again: what was to be restarted need not be. */
  keepPath() {
    this.#options.clock.clearTimeout(this.#restartTimer ?? 0);
    this.#restartTimer = undefined;
  }

  close() {
    this.#closed = true;
    this.#stopWaiting();
    this.#withdraw();
    this.keepPath();
  }

  /** Resolves when everything received so far has been handled. */
  settled() {
    return this.#chain;
  }

  /**
   * @param {string} what
   * @param {() => Promise<void>} step
   */
  #enqueue(what, step) {
    this.#chain = this.#chain.then(async () => {
      if (this.#closed) return;
      try {
        await step();
      } catch (error) {
        if (this.#closed) return;
        this.#options.onProblem(what, error);
        // A refused offer leaves the connection as it was; after a refused answer Chromium refuses everything.
        if (what === 'answer' && this.#agreed > 0) this.#options.onBroken?.();
      }
    });
  }

  #stopWaiting() {
    this.#waited = true;
    if (this.#firstOfferTimer !== undefined) this.#options.clock.clearTimeout(this.#firstOfferTimer);
    this.#firstOfferTimer = undefined;
  }

  async #offer() {
    const connection = this.#connection;
    // The browser asks again once the present negotiation is over.
    if (connection.signalingState !== 'stable' || this.#proposal) return;
    this.#again = false;
    if (this.#options.polite) return this.#propose();
    await connection.setLocalDescription();
    this.#highest += 1;
    this.#epoch = this.#highest;
    this.#sendDescription();
  }

  async #propose() {
    const { sdp = '' } = await this.#connection.createOffer();
    if (this.#closed) return;
    this.#highest += 1;
    const offer = /** @type {const} */ ({ type: 'offer', sdp: withoutCollisions(sdp) });
    this.#proposal = { epoch: this.#highest, offer };
    this.#options.send({ epoch: this.#highest, description: offer });
    this.#answerTimer = this.#options.clock.setTimeout(() => this.#proposeAnew(), ANSWER_LIMIT_MS);
  }

  /** Whatever became of the last one: the other side takes the newer for what counts. */
  #proposeAnew() {
    this.#withdraw();
    this.#enqueue('offer', () => this.#offer());
  }

  /** What was offered shall not be put in force any more. */
  #withdraw() {
    this.#proposal = null;
    this.#options.clock.clearTimeout(this.#answerTimer ?? 0);
    this.#answerTimer = undefined;
  }

  /**
   * @param {number} epoch
   * @param {RTCSessionDescriptionInit} description
   */
  async #description(epoch, description) {
    const { polite, onProblem, onDescription } = this.#options;
    const problem = insecurity(description.sdp ?? '');
    if (problem) {
      onProblem(problem, null);
      onDescription?.('refused');
      return;
    }
    if (description.type === 'offer') {
      if (epoch < this.#agreed) return onProblem('stale offer', null);
      this.#ignoringOffer = !polite && this.#connection.signalingState !== 'stable';
      if (this.#ignoringOffer) return;
      this.#stopWaiting();
      this.#withdraw();
    } else if (this.#proposal?.epoch === epoch) {
      await this.#putInForce(this.#proposal);
    } else if (this.#connection.signalingState !== 'have-local-offer' || epoch !== this.#epoch) {
      return onProblem('stale answer', null);
    }
    const connection = this.#connection;
    const before = iceCredentials(connection.remoteDescription?.sdp);
    try {
      const sdp = mended(description.sdp ?? '');
      const answered = description.type === 'answer';
      await connection.setRemoteDescription({ type: description.type, sdp: answered ? inItsRole(sdp, connection) : sdp });
    } catch (error) {
      if (!this.#closed) onDescription?.('unfit');
      throw error;
    }
    onDescription?.(null);
    this.#ignoringOffer = false;
    this.#epoch = epoch;
    this.#agreed = epoch;
    this.#highest = Math.max(this.#highest, epoch);
    if (iceCredentials(description.sdp) !== before) {
      this.#iceEpoch = epoch;
      this.keepPath();
    }
    for (const candidate of this.#early.splice(0)) await this.#add(candidate);
    if (description.type === 'offer') {
      await connection.setLocalDescription();
      this.#sendDescription();
    }
    if (this.#again) this.negotiate();
  }

  /**
   * The answer to it is here.
   * @param {{epoch: number, offer: RTCSessionDescriptionInit}} proposal
   */
  async #putInForce({ epoch, offer }) {
    this.#proposal = null;
    // What is gathered from now on belongs to it.
    this.#epoch = epoch;
    await this.#connection.setLocalDescription(offer);
    // Only now: if it can't be put in force, another one is made when the time for the answer is over.
    this.#withdraw();
  }

  /**
   * @param {number} epoch
   * @param {RTCIceCandidateInit | null} candidate
   */
  async #candidate(epoch, candidate) {
    // Candidates stay good over later negotiations, until the remote side restarts ICE.
    if (epoch < this.#iceEpoch) return;
    // While an offer is being ignored, candidates may belong to it or still to the description in force.
    // The browser tells by their usernameFragment.
    if (this.#connection.remoteDescription) await this.#add(candidate);
    else if (!this.#ignoringOffer && this.#early.length < MAX_EARLY) this.#early.push(candidate);
  }

  /** @param {RTCIceCandidateInit | null} candidate */
  async #add(candidate) {
    try {
      await this.#connection.addIceCandidate(candidate);
    } catch (error) {
      if (!this.#ignoringOffer) this.#options.onProblem('candidate', error);
    }
  }

  #sendDescription() {
    const description = this.#connection.localDescription;
    if (!description || this.#closed) return;
    const { type, sdp } = description;
    this.#options.send({ epoch: this.#epoch, description: { type, sdp } });
  }
}

/** Profiles that mean DTLS where there is a fingerprint, whatever they are called (RFC 8829, 5.1.2). */
const PROFILES = /^((UDP\/TLS|TCP\/TLS|TCP\/DTLS)\/RTP\/SAVPF?|RTP\/S?AVPF?|((UDP|TCP)\/)?DTLS\/SCTP)$/;

/**
 * Why a description must not be used, or null. The server passes descriptions on unread, so it is here that
 * one without encryption is refused.
 * @param {string} sdp
 */
export function insecurity(sdp) {
  if (!/^a=fingerprint:/m.test(sdp)) return 'description without a fingerprint';
  for (const [, protocol] of sdp.matchAll(/^m=\S+ \S+ (\S+)/gm)) {
    if (!PROFILES.test(protocol)) return 'description without DTLS';
  }
  return null;
}

/**
 * A description with what other programs leave out, and without what they have too much: the end of its last line, the group of a section
 * that is alone, without which browsers refuse it under `max-bundle`, and lines about formats that their section does not have.
 * @param {string} sdp
 */
export function mended(sdp) {
  const complete = ofOwnFormats(/\n$/.test(sdp) ? sdp : `${sdp}\r\n`);
  const [, mid] = /^a=mid:([\w-]{1,32})\r?$/m.exec(complete) ?? [];
  const isAlone = complete.match(/^m=/gm)?.length === 1 && /^m=\S+ [1-9]/m.test(complete);
  // A function: the other side must not write a replacement pattern.
  return isAlone && mid && !/^a=group:BUNDLE/m.test(complete) ? complete.replace(/^m=/m, () => `a=group:BUNDLE ${mid}\r\nm=`) : complete;
}

/**
 * Firefox 153 offers feedback (`a=rtcp-fb`) for formats that the other side has offered once and that it does not have itself. Chromium takes
 * them for formats without a name, and refuses the whole description.
 * @param {string} sdp
 */
function ofOwnFormats(sdp) {
  const sections = sdp.split(/^(?=m=)/m).map((section) => {
    const [, formats] = /^m=\S+ \S+ \S+ (.*)/.exec(section) ?? [];
    const own = new Set(formats?.trim().split(' '));
    return section.replace(/^a=(?:rtcp-fb|fmtp|rtpmap):(\d+) .*\r?\n/gm, (line, format) => (own.has(format) ? line : ''));
  });
  return sections.join('');
}

/**
 * An answer in which the other side has the DTLS role that it has already: roles last as long as the association (RFC 8842, 5.4), which
 * the fingerprint names. Firefox 153 answers another side's ICE restart with `active` also where it is passive; Chromium refuses that,
 * and everything that comes after it. Firefox itself stays in its role.
 * @param {string} sdp
 * @param {Pick<RTCPeerConnection, 'currentLocalDescription' | 'currentRemoteDescription'>} connection
 */
export function inItsRole(sdp, { currentLocalDescription: ours, currentRemoteDescription: theirs }) {
  if (!ours || !theirs || fingerprints(sdp) !== fingerprints(theirs.sdp)) return sdp;
  const role = setup(theirs.sdp) === 'actpass' ? OPPOSITE[setup(ours.sdp)] : setup(theirs.sdp);
  return role in OPPOSITE ? sdp.replace(/^a=setup:\w+/gm, `a=setup:${role}`) : sdp;
}

/** @type {Record<string, string>} */ const OPPOSITE = { active: 'passive', passive: 'active' };

/** @param {string} sdp */
function fingerprints(sdp) {
  return [...new Set(sdp.match(/^a=fingerprint:.*\S/gm))].sort().join();
}

/**
 * The role that all sections have, or nothing that is one.
 * @param {string} sdp
 */
function setup(sdp) {
  return [...new Set(sdp.match(/(?<=^a=setup:)\w+/gm))].join();
}

/**
 * Whether an offer has several sections and no group of them, which browsers refuse under `max-bundle`.
 * @param {SignalBody} body
 */
export function isUnbundled(body) {
  if (!('description' in body) || body.description?.type !== 'offer') return false;
  const { sdp = '' } = body.description;
  return (sdp.match(/^m=/gm)?.length ?? 0) > 1 && !/^a=group:BUNDLE/m.test(sdp);
}

/** @param {string | undefined} sdp */
function iceCredentials(sdp) {
  return /^a=ice-ufrag:(.*)$/m.exec(sdp ?? '')?.[1]?.trim();
}
