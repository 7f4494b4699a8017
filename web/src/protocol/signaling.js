// The signaling client: one session of `signal.v1` over WebSockets that come and go.
//
// It numbers what it sends, acknowledges what it receives, drops what it has seen, and reconnects.
// What the messages mean is the caller's business.

import { reconnectDelay } from './backoff.js';

/** @import { Clock, Hello, InMessage, OutMessage, Welcome } from './types.js' */

export const SUBPROTOCOL = 'signal.v1';

/** Acknowledgements are gathered this long, in milliseconds: one frame for a burst of candidates. */
const ACK_DELAY_MS = 25;

/** Close codes after which trying again would only repeat the refusal. */
const FINAL_CLOSE_CODES = new Map([
  [4400, 'bad_message'],
  [4401, 'unauthorized'],
  [4403, 'forbidden'],
  [4409, 'replaced'],
  [4413, 'too_large'],
  [4423, 'room_locked'],
  [4431, 'room_full'],
]);

/**
 * What this client needs of a WebSocket.
 * @typedef {object} Socket
 * @property {(text: string) => void} send
 * @property {(code?: number, reason?: string) => void} close
 * @property {((event: any) => void) | null} onopen
 * @property {((event: any) => void) | null} onmessage
 * @property {((event: any) => void) | null} onclose
 */

/**
 * `connecting`: on the way to a `welcome`. `open`: in the room. `waiting`: lost, tries again.
 * `closed`: for good.
 * @typedef {'connecting' | 'open' | 'waiting' | 'closed'} SignalingState
 */

/**
 * @typedef {object} SignalingOptions
 * @property {() => Socket} connect opens a WebSocket with the subprotocol `signal.v1`
 * @property {() => Hello} hello what to enter with; asked anew for every connection
 * @property {(message: InMessage) => void} onMessage each new message, in order
 * @property {(state: SignalingState, refusal?: string) => void} onState `refusal` is the error's code
 *   when the server closed for good
 * @property {Clock} clock
 * @property {() => number} random between 0 and 1
 */

export class SignalingClient {
  /** @type {SignalingOptions} */ #options;
  /** @type {Socket | null} */ #socket = null;
  /** @type {SignalingState} */ #state = 'waiting';
  #attempt = 0;
  /** @type {number | undefined} */ #retryTimer;
  /** @type {number | undefined} */ #ackTimer;
  /** Wait that the server asked for, in milliseconds. @type {number | undefined} */ #askedDelay;
  /** @type {string | undefined} */ #lastError;
  #nextId = 1;
  #received = 0;
  /** Highest `id` seen of each sender. @type {Map<string, number>} */ #seen = new Map();

  /** @param {SignalingOptions} options */
  constructor(options) {
    this.#options = options;
  }

  get state() {
    return this.#state;
  }

  /** Connects, or does so now instead of waiting for the next attempt. */
  connect() {
    if (this.#state !== 'waiting') return;
    this.#stopTimers();
    this.#setState('connecting');
    const socket = this.#options.connect();
    this.#socket = socket;
    this.#askedDelay = undefined;
    this.#lastError = undefined;
    socket.onopen = () => socket.send(JSON.stringify(this.#options.hello()));
    socket.onmessage = ({ data }) => {
      if (this.#socket === socket) this.#receive(data);
    };
    socket.onclose = ({ code }) => {
      if (this.#socket === socket) this.#closed(code);
    };
  }

  /**
   * Sends a message with the next `id`.
   * @param {OutMessage} message
   * @returns {boolean} false when signaling is away: the message is not sent, now or later
   */
  send(message) {
    if (this.#state !== 'open') return false;
    this.#transmit({ ...message, id: this.#nextId++ });
    return true;
  }

  /** Leaves the room at once and for good. */
  bye() {
    if (this.#state === 'closed') return;
    if (this.#state === 'open') this.#transmit({ type: 'bye' });
    this.#socket?.close(1000);
    this.#end();
  }

  /** @param {object} frame */
  #transmit(frame) {
    this.#socket?.send(JSON.stringify(frame));
  }

  /** @param {unknown} data */
  #receive(data) {
    const message = parse(data);
    if (!message) return;
    switch (message.type) {
      case 'welcome':
        this.#welcomed(message);
        break;
      case 'goaway':
        this.#askedDelay = message.resume_in_ms;
        break;
      case 'error':
        if (message.id === undefined) {
          this.#lastError = message.code;
          this.#askedDelay = message.retry_after_ms ?? this.#askedDelay;
        }
        break;
    }
    if ('seq' in message && typeof message.seq === 'number') {
      this.#scheduleAck();
      if (message.seq <= this.#received) return;
      this.#received = message.seq;
    }
    if (this.#isRepeated(message)) return;
    this.#options.onMessage(message);
  }

  /** @param {Welcome} welcome */
  #welcomed(welcome) {
    if (!welcome.resumed) {
      this.#nextId = 1;
      this.#received = 0;
      this.#seen.clear();
    }
    this.#attempt = 0;
    this.#setState('open');
  }

  /**
   * Whether the sender sent it again although it had arrived. Ids of one sender only grow.
   * @param {InMessage} message
   */
  #isRepeated(message) {
    if (!('from' in message)) return false;
    if (message.id <= (this.#seen.get(message.from) ?? 0)) return true;
    this.#seen.set(message.from, message.id);
    return false;
  }

  #scheduleAck() {
    this.#ackTimer ??= this.#options.clock.setTimeout(() => {
      this.#ackTimer = undefined;
      if (this.#state !== 'open') return;
      this.#transmit({ type: 'ack', seq: this.#received });
    }, ACK_DELAY_MS);
  }

  /** @param {number} code */
  #closed(code) {
    this.#socket = null;
    const refusal = FINAL_CLOSE_CODES.get(code);
    if (refusal) {
      this.#end(this.#lastError ?? refusal);
      return;
    }
    this.#stopTimers();
    const delay = this.#askedDelay ?? reconnectDelay(this.#attempt, this.#options.random());
    this.#attempt += 1;
    this.#retryTimer = this.#options.clock.setTimeout(() => this.connect(), delay);
    this.#setState('waiting');
  }

  /** @param {string} [refusal] */
  #end(refusal) {
    this.#stopTimers();
    this.#socket = null;
    this.#setState('closed', refusal);
  }

  #stopTimers() {
    const { clock } = this.#options;
    if (this.#retryTimer !== undefined) clock.clearTimeout(this.#retryTimer);
    if (this.#ackTimer !== undefined) clock.clearTimeout(this.#ackTimer);
    this.#retryTimer = undefined;
    this.#ackTimer = undefined;
  }

  /**
   * @param {SignalingState} state
   * @param {string} [refusal]
   */
  #setState(state, refusal) {
    this.#state = state;
    this.#options.onState(state, refusal);
  }
}

/**
 * A frame as a message, or null: what this client cannot read must not stop it.
 * @param {unknown} data
 * @returns {InMessage | null}
 */
function parse(data) {
  if (typeof data !== 'string') return null;
  try {
    const message = JSON.parse(data);
    return message !== null && typeof message === 'object' && typeof message.type === 'string' ? message : null;
  } catch {
    return null;
  }
}
