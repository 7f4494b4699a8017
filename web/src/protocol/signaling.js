// The signaling client: a session of `signal.v1` that outlives its WebSockets.
//
// It numbers what it sends and keeps it until it is delivered, acknowledges what it receives and drops what it has seen,
// reconnects, and goes on where both ends were. What the messages mean is the caller's business.
//
// The conversations in signaling/proto/tests/golden/conversations say what must come of what; the Rust client passes the same.

import { Backoff } from './backoff.js';
import { CLOSE_CODES, FINAL, SESSION_OVER, readFrame } from './frames.js';
import { Inbox } from './inbox.js';
import { Outbox } from './outbox.js';

/** @import { Clock, Hello, InMessage, OutMessage, Welcome } from './types.js' */

export const SUBPROTOCOL = 'signal.v1';

/** `WebSocket.OPEN`. */
const OPEN = 1;

/** Acknowledgements are gathered this long, in milliseconds: one frame for a burst of candidates. */
const ACK_DELAY_MS = 25;
/** How long a connection may take until its `welcome`, in milliseconds. */
const WELCOME_DEADLINE_MS = 10_000;
/** The same for one that takes the place of another, whose loss nobody has been told of yet. */
const MOVE_DEADLINE_MS = 3000;
/** When to send again what a slow recipient has no room for, unless the server says when, in milliseconds. */
const RETRY_MS = 1000;
/** How long the server may say nothing at all after something was said to it. */
const SILENCE_LIMIT_MS = 6000;

/**
 * What this client needs of a WebSocket.
 * @typedef {object} Socket
 * @property {number} readyState
 * @property {(text: string) => void} send
 * @property {(code?: number, reason?: string) => void} close
 * @property {((event: any) => void) | null} onopen
 * @property {((event: any) => void) | null} onmessage
 * @property {((event: any) => void) | null} onclose
 *
 * `connecting`: on the way to a `welcome`. `open`: in the room. `moving`: in the room, and on the way to another connection.
 * `waiting`: lost, tries again. `closed`: for good.
 * @typedef {'connecting' | 'open' | 'moving' | 'waiting' | 'closed'} SignalingState
 *
 * What became of a message. `failed` are those who left before; `lost`: the session is over, and nobody will ever know.
 * @typedef {{id: number, message: OutMessage} & ({delivered: true, failed?: string[]} | {refused: string} | {lost: true})} Outcome
 *
 * What a later page needs in order to go on with the session: its newest ticket, the highest `seq` that was acknowledged, an `id` above
 * all that were used, and how long the server waits, in seconds.
 * @typedef {{ticket: string, received: number, sent: number, windowS: number}} Session
 *
 * @typedef {object} SignalingOptions
 * @property {() => Socket} connect opens a WebSocket with the subprotocol `signal.v1`
 * @property {Hello} hello what to enter with; `update`s that are sent keep it up to date
 * @property {(message: InMessage) => void} onMessage each new message, in order
 * @property {(outcome: Outcome) => void} onOutcome
 * @property {(state: SignalingState, detail: {refusal?: string, waitMs?: number}) => void} onState `refusal`: the error's
 *   code when the server closed for good
 * @property {Session | null} [session] of an earlier page, to go on with
 * @property {(session: Session | null) => void} [onSession] the session is another one than before, or has got further
 * @property {Clock} clock
 * @property {() => number} random between 0 and 1
 */

export class SignalingClient {
  /** @type {SignalingOptions} */ #options;
  /** @type {Hello} */ #hello;
  /** @type {Socket | null} */ #socket = null;
  /** What the next connection is to take the place of. @type {Socket | null} */ #former = null;
  /** Whether the server may yet hear of an attempt that we have given up. */ #gaveUp = false;
  /** @type {SignalingState} */ #state = 'waiting';
  /** The newest of the session, while there is one. @type {string | null} */ #ticket = null;
  /** Whether the session is that of an earlier page, which has not been welcomed back. */ #isRestored = false;
  /** `sent` of the session as it was told last, or as the earlier page has left it. */ #sent = 0;
  #windowS = 0;
  #backoff = new Backoff();
  #inbox = new Inbox();
  #outbox = new Outbox();
  /** The next attempt, or the deadline of this one. @type {number | undefined} */ #timer;
  /** Until when the WebSocket of this attempt must be open. @type {number | undefined} */ #openTimer;
  /** @type {number | undefined} */ #ackTimer;
  /** Until what slow recipients had no room for is sent again. @type {number | undefined} */ #retryTimer;
  #retryDue = 0;
  /** Running while something was said that nothing has come after. @type {number | undefined} */ #silenceTimer;
  /** Code of the last fatal error on this connection. @type {string | undefined} */ #error;

  /** @param {SignalingOptions} options */
  constructor(options) {
    this.#options = options;
    this.#hello = options.hello;
    if (!options.session) return;
    ({ ticket: this.#ticket, received: this.#inbox.received, sent: this.#sent } = options.session);
    this.#isRestored = true;
  }

  #tellSession() {
    const ticket = this.#ticket;
    this.#sent = this.#outbox.bound;
    this.#options.onSession?.(ticket === null ? null : { ticket, received: this.#inbox.received, sent: this.#sent, windowS: this.#windowS });
  }

  get state() {
    return this.#state;
  }

  /** Whether there is a session to go on with; without one, whoever was met is to be met anew. */
  get hasSession() {
    return this.#ticket !== null;
  }

  /** Connects, or does so now instead of waiting for the next attempt. */
  connect() {
    if (this.#state === 'waiting') this.#attempt('connecting', WELCOME_DEADLINE_MS);
  }

  /**
   * Goes on over another connection at once, in the same session: through the present one nothing may come any more, as when its
   * address was taken away, which no browser tells. Where it works after all, it is closed when the other one has taken its
   * place, so that nobody is told that we were away.
   */
  reconnect() {
    if (this.#state === 'closed') return;
    if (this.#state === 'waiting') return this.connect();
    const socket = this.#socket;
    this.#socket = null;
    if (this.#state === 'open') {
      this.#closeFormer();
      this.#former = socket;
      return this.#attempt('moving', MOVE_DEADLINE_MS);
    }
    this.#gaveUp = true;
    socket?.close();
    return this.#attempt(this.#state, this.#state === 'moving' ? MOVE_DEADLINE_MS : WELCOME_DEADLINE_MS);
  }

  /**
   * @param {'connecting' | 'moving'} state
   * @param {number} deadlineMs
   */
  #attempt(state, deadlineMs) {
    this.#stopTimers();
    this.#error = undefined;
    this.#setState(state);
    const socket = this.#options.connect();
    this.#socket = socket;
    const { clock } = this.#options;
    this.#timer = clock.setTimeout(() => this.#giveUp(), deadlineMs);
    if (state === 'connecting') this.#openTimer = clock.setTimeout(() => this.#swallowed(), this.#backoff.openDeadlineMs);
    socket.onopen = () => {
      if (this.#socket !== socket) return;
      clock.clearTimeout(this.#openTimer ?? 0);
      this.#sayHello();
    };
    socket.onmessage = ({ data }) => {
      if (this.#socket === socket) this.#receive(data);
    };
    socket.onclose = ({ code }) => {
      if (this.#socket === socket) this.#closed(code);
    };
  }

  /**
   * Sends a message, now or when there is a connection, and keeps it until it has an outcome. What a slow recipient has no room
   * for is sent again, in order; on the wire it then has other `id`s than the one that is returned here.
   * @param {OutMessage} message
   * @returns {number | null} its `id`; null when too much waits already, or after the end: then it was not taken
   */
  send(message) {
    if (this.#state === 'closed') return null;
    const kept = this.#outbox.push(message, this.#state === 'open');
    if (!kept) return null;
    if (message.type === 'update') {
      const { name = this.#hello.name, media } = message;
      this.#hello = { ...this.#hello, name, media: { audio: false, video: false, screen: false, ...this.#hello.media, ...media } };
    }
    if (this.#ticket !== null && !this.#isRestored && this.#outbox.bound > this.#sent) this.#tellSession();
    if (this.#state === 'open' && kept.frame !== null) {
      put(this.#socket, kept.frame);
      // A recipient who is away keeps the server silent, too: then another connection takes the place of this one unnoticed.
      this.#silenceTimer ??= this.#options.clock.setTimeout(() => this.reconnect(), SILENCE_LIMIT_MS);
    }
    return kept.id;
  }

  /** Leaves the room at once and for good. */
  bye() {
    if (this.#state === 'closed') return;
    const carrier = this.#state === 'open' ? this.#socket : this.#former;
    put(carrier, JSON.stringify({ type: 'bye' }));
    this.#socket?.close(1000);
    this.#end();
  }

  /** Ends this client and leaves its session to a later page, which may go on with it. */
  suspend() {
    this.#stopTimers();
    this.#closeFormer();
    this.#former = this.#socket;
    this.#socket = null;
    this.#closeFormer();
    this.#setState('closed');
  }

  #sayHello() {
    const { received, peers } = this.#inbox;
    // Whom an earlier page knew, this one does not.
    const known = this.#isRestored ? {} : { peers };
    const resume = this.#ticket === null ? {} : { resume: { ticket: this.#ticket, received, ...known } };
    this.#transmit({ ...this.#hello, ...resume });
  }

  /** @param {object} frame */
  #transmit(frame) {
    put(this.#socket, JSON.stringify(frame));
  }

  /** @param {unknown} data */
  #receive(data) {
    this.#options.clock.clearTimeout(this.#silenceTimer ?? 0);
    this.#silenceTimer = undefined;
    const message = readFrame(data);
    if (!message) return;
    if ('seq' in message) this.#scheduleAck();
    if (!this.#inbox.take(message)) return;
    switch (message.type) {
      case 'welcome':
        return this.#welcomed(message);
      case 'delivered':
        for (const id of message.ids) {
          const failed = message.failed?.[id];
          this.#settle(id, { delivered: true, ...(failed && { failed }) });
        }
        return undefined;
      case 'error':
        if (message.id !== undefined && message.code === 'slow_recipient' && this.#outbox.defer(message.id)) {
          return this.#retryIn(message.retry_after_ms);
        }
        if (message.id !== undefined) return this.#settle(message.id, { refused: message.code });
        this.#backoff.ask(message.retry_after_ms);
        this.#error = message.code;
        return undefined;
      case 'ticket':
        if (this.#ticket !== null) this.#ticket = message.ticket;
        return undefined;
      case 'goaway':
        this.#backoff.ask(message.resume_in_ms);
        return this.#options.onMessage(message);
      default:
        return this.#options.onMessage(message);
    }
  }

  /** @param {Welcome} welcome */
  #welcomed(welcome) {
    this.#closeFormer();
    if (!welcome.resumed) this.#forgetSession();
    // A process that adopts the session has received nothing, and lets ids have gaps; those that were used others drop.
    if (this.#isRestored) this.#outbox.follow(welcome.received || this.#sent);
    this.#isRestored = false;
    this.#windowS = welcome.resume_window_s;
    this.#ticket = welcome.ticket;
    this.#tellSession();
    this.#backoff.reset();
    this.#inbox.enter(welcome);
    this.#options.clock.clearTimeout(this.#timer ?? 0);
    this.#timer = undefined;
    // In order, and before anything newer: what the server has not taken.
    for (const frame of this.#outbox.framesAfter(welcome.received)) put(this.#socket, frame);
    this.#retry();
    this.#setState('open');
    this.#options.onMessage(welcome);
  }

  /**
   * @param {number} id
   * @param {{delivered: true, failed?: string[]} | {refused: string}} outcome
   */
  #settle(id, outcome) {
    const settled = this.#outbox.settle(id);
    if (settled) this.#options.onOutcome({ ...settled, ...outcome });
  }

  /**
   * What slow recipients have no room for is sent again later.
   * @param {number} [waitMs]
   */
  #retryIn(waitMs = RETRY_MS) {
    const { clock } = this.#options;
    clock.clearTimeout(this.#retryTimer ?? 0);
    this.#retryDue = Math.max(this.#retryDue, clock.now() + waitMs);
    // Without a connection its welcome comes first.
    this.#retryTimer = clock.setTimeout(() => this.#state === 'open' && this.#retry(), this.#retryDue - clock.now());
  }

  #retry() {
    this.#options.clock.clearTimeout(this.#retryTimer ?? 0);
    this.#retryTimer = undefined;
    this.#retryDue = 0;
    for (const frame of this.#outbox.retry()) put(this.#socket, frame);
  }

  /** What was not delivered within a session that is over. What waits for a first one is no part of that. */
  #forgetSession() {
    if (this.#ticket === null) return;
    this.#ticket = null;
    this.#tellSession();
    this.#options.clock.clearTimeout(this.#retryTimer ?? 0);
    this.#retryDue = 0;
    this.#inbox.forgetSession();
    if (!this.#isRestored) this.#abandon();
    this.#isRestored = false;
  }

  #abandon() {
    for (const left of this.#outbox.abandon()) this.#options.onOutcome({ ...left, lost: true });
  }

  #scheduleAck() {
    this.#ackTimer ??= this.#options.clock.setTimeout(() => {
      this.#ackTimer = undefined;
      this.#tellSession();
      this.#transmit({ type: 'ack', seq: this.#inbox.received });
    }, ACK_DELAY_MS);
  }

  #giveUp() {
    this.#gaveUp = true;
    this.#socket?.close();
    this.#closed(undefined);
  }

  /** Nothing that was sent has come anywhere, or nothing of the answer. */
  #swallowed() {
    this.#gaveUp = true;
    this.#socket?.close();
    this.#socket = null;
    this.#stopTimers();
    this.#wait(this.#backoff.afterSwallowed(this.#options.random()));
  }

  /** @param {number} waitMs */
  #wait(waitMs) {
    this.#timer = this.#options.clock.setTimeout(() => this.connect(), waitMs);
    this.#setState('waiting', { waitMs });
  }

  /** @param {number | undefined} code */
  #closed(code) {
    this.#socket = null;
    this.#stopTimers();
    const error = this.#error ?? CLOSE_CODES.get(code ?? 0);
    // An attempt of our own that the server heard of late is no other tab.
    const isOurs = error === 'replaced' && this.#gaveUp;
    if (isOurs) this.#gaveUp = false;
    // Whoever comes back too late decides anew whether to be seen and heard.
    const isTooLate = this.#isRestored && error === 'resume_failed';
    if (error !== undefined && (FINAL.has(error) || isTooLate) && !isOurs) return this.#end(error);
    if (error !== undefined && SESSION_OVER.has(error)) this.#forgetSession();
    // The server is there: what was waited for before is over.
    if (error === 'resume_failed') this.#backoff.reset();
    return this.#wait(this.#backoff.next(this.#options.random()));
  }

  /** @param {string} [refusal] */
  #end(refusal) {
    this.#stopTimers();
    this.#socket = null;
    this.#closeFormer();
    this.#forgetSession();
    this.#abandon();
    this.#setState('closed', refusal === undefined ? {} : { refusal });
  }

  #closeFormer() {
    this.#former?.close();
    this.#former = null;
  }

  #stopTimers() {
    const { clock } = this.#options;
    for (const timer of [this.#timer, this.#openTimer, this.#ackTimer, this.#silenceTimer]) clock.clearTimeout(timer ?? 0);
    this.#timer = this.#openTimer = this.#ackTimer = this.#silenceTimer = undefined;
  }

  /**
   * @param {SignalingState} state
   * @param {{refusal?: string, waitMs?: number}} [detail]
   */
  #setState(state, detail = {}) {
    this.#state = state;
    this.#options.onState(state, detail);
  }
}

/**
 * Where a connection is ending already nothing is sent any more: what must arrive is kept, and browsers would complain.
 * @param {Socket | null} socket
 * @param {string} frame
 */
function put(socket, frame) {
  if (socket?.readyState === OPEN) socket.send(frame);
}
