// An RTCPeerConnection reduced to what negotiation sees: the signaling states of the W3C's specification, its
// chain of operations, and `negotiationneeded`. Operations take a random number of turns. An offer can't be taken back.

/** @typedef {{type: 'offer' | 'answer', sdp: string}} Description */

export class FakeConnection {
  /** @type {RTCSignalingState} */ signalingState = 'stable';
  /** @type {any} */ localDescription = null;
  /** @type {any} */ remoteDescription = null;
  currentLocalDescription = null;
  currentRemoteDescription = null;
  /** Candidates in force, each with the ICE credentials it is good for. @type {string[]} */ candidates = [];
  /** What the other side must learn. */ wanted = 0;
  /** What has been agreed on. */ agreed = 0;
  /** How often a restart was asked for. */ restarts = 0;
  onnegotiationneeded = () => {};
  onicecandidate = (/** @type {any} */ _candidate) => {};

  #random;
  #ufrag;
  #restarts = 0;
  #wantsRestart = false;
  #described = 0;
  /** The last offer that was created. */ #created = { described: 0, ufrag: '' };
  /** @type {any} */ #stable = { local: null, remote: null };
  /** @type {Promise<unknown>} */ #chain = Promise.resolve();

  /**
   * @param {string} name
   * @param {() => number} random
   */
  constructor(name, random) {
    this.name = name;
    this.#random = random;
    this.#ufrag = `${name}0`;
  }

  /** Something changed that the other side must be told, such as a new track. */
  change() {
    this.wanted += 1;
    this.#askForNegotiation();
  }

  restartIce() {
    this.#wantsRestart = true;
    this.restarts += 1;
    this.#askForNegotiation();
  }

  /** @returns {Promise<RTCSessionDescriptionInit>} */
  createOffer() {
    return this.#operation(() => {
      this.#created = { described: this.wanted, ufrag: this.#wantsRestart ? this.#newUfrag() : this.#ufrag };
      return { type: 'offer', sdp: sdp(this.#created.ufrag) };
    });
  }

  /** @param {RTCSessionDescriptionInit} [description] the offer that was created last */
  setLocalDescription(description) {
    return this.#operation(() => {
      if (this.signalingState === 'have-remote-offer') return this.#describe('answer', this.wanted);
      if (!description) {
        if (this.#wantsRestart) this.#use(this.#newUfrag());
        return this.#describe('offer', this.wanted);
      }
      if (description.sdp !== sdp(this.#created.ufrag)) throw new Error('that is not the last offer that was created');
      if (this.#created.ufrag !== this.#ufrag) this.#use(this.#created.ufrag);
      this.#describe('offer', this.#created.described);
    });
  }

  /** @param {RTCSessionDescriptionInit} description */
  setRemoteDescription(description) {
    return this.#operation(() => {
      if (description.type === 'offer') {
        if (this.signalingState !== 'stable') throw new Error(`offer in ${this.signalingState}`);
        this.signalingState = 'have-remote-offer';
        // To a restart one answers with new credentials.
        if (this.#setRemote(description) && this.#stable.local) this.#use(this.#newUfrag());
        return;
      }
      if (this.signalingState !== 'have-local-offer') throw new Error(`answer in ${this.signalingState}`);
      this.#setRemote(description);
      this.#settle(this.#described);
    });
  }

  /** @param {any} candidate */
  addIceCandidate(candidate) {
    return this.#operation(() => {
      if (!this.remoteDescription) throw new Error('candidate before a description');
      if (candidate === null) return;
      const current = ufrag(this.remoteDescription.sdp);
      if (candidate.usernameFragment !== current) throw new Error(`candidate of ${candidate.usernameFragment}, now ${current}`);
      this.candidates.push(candidate.candidate);
    });
  }

  #newUfrag() {
    this.#restarts += 1;
    return `${this.name}${this.#restarts}`;
  }

  /** @param {string} fragment */
  #use(fragment) {
    this.#wantsRestart = false;
    this.#ufrag = fragment;
  }

  /**
   * @param {any} description
   * @returns {boolean} whether the other side has new credentials
   */
  #setRemote(description) {
    const changed = ufrag(this.remoteDescription?.sdp ?? '') !== ufrag(description.sdp);
    if (changed) this.candidates = [];
    this.remoteDescription = description;
    return changed;
  }

  /**
   * @param {'offer' | 'answer'} type
   * @param {number} described
   */
  #describe(type, described) {
    const gathers = this.#ufrag !== ufrag(this.#stable.local?.sdp ?? '');
    this.localDescription = { type, sdp: sdp(this.#ufrag) };
    this.#described = described;
    if (type === 'offer') this.signalingState = 'have-local-offer';
    else this.#settle(this.#described);
    if (gathers) void this.#gather(this.#ufrag);
  }

  /** @param {number} described */
  #settle(described) {
    this.signalingState = 'stable';
    this.#stable = { local: this.localDescription, remote: this.remoteDescription };
    this.agreed = described;
    this.#askForNegotiation();
  }

  /** @param {string} forUfrag */
  async #gather(forUfrag) {
    // Candidates never come before setLocalDescription has resolved.
    await new Promise((next) => setImmediate(next));
    for (const number of [1, 2, 3]) {
      await turns(this.#random, 6);
      if (ufrag(this.localDescription?.sdp ?? '') !== forUfrag) return;
      this.onicecandidate({ candidate: `${forUfrag}-${number}`, usernameFragment: forUfrag });
    }
    await turns(this.#random, 3);
    if (ufrag(this.localDescription?.sdp ?? '') === forUfrag) this.onicecandidate(null);
  }

  #askForNegotiation() {
    setImmediate(() => {
      const needed = this.agreed < this.wanted || this.#wantsRestart;
      if (this.signalingState === 'stable' && needed) this.onnegotiationneeded();
    });
  }

  /**
   * @template T
   * @param {() => T} step
   */
  #operation(step) {
    const result = this.#chain.then(() => turns(this.#random, 4)).then(step);
    this.#chain = result.catch(() => undefined);
    return result;
  }
}

/** @param {string} sdp */
export function ufrag(sdp) {
  return /^a=ice-ufrag:(.*)$/m.exec(sdp)?.[1].trim();
}

/** @param {string} fragment */
function sdp(fragment) {
  return `v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=fingerprint:sha-256 00\r\na=ice-ufrag:${fragment}\r\n`;
}

/**
 * Lets up to `most` turns of the event loop pass.
 * @param {() => number} random
 * @param {number} most
 */
export async function turns(random, most) {
  for (let left = Math.floor(random() * (most + 1)); left > 0; left -= 1) await new Promise((next) => setImmediate(next));
}
