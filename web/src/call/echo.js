// The `echo` data channel: whoever gets a ping answers with a pong, in order. It proves that a data channel
// works, to tests and to people who diagnose a call.

/**
 * @typedef {{sent: number, echoed: number, inOrder: boolean}} EchoResult
 */

/** How long a run may take, in milliseconds. */
const RUN_LIMIT_MS = 10_000;

export class Echo {
  #channel;
  #clock;
  /** @type {((n: number) => void) | null} */ #onPong = null;

  /**
   * @param {RTCDataChannel} channel
   * @param {import('../protocol/types.js').Clock} clock
   */
  constructor(channel, clock) {
    this.#channel = channel;
    this.#clock = clock;
    channel.addEventListener('message', (event) => this.#receive(event.data));
  }

  /** @param {unknown} data */
  #receive(data) {
    const message = parseObject(data);
    if (message?.type === 'ping' && Number.isFinite(message.n)) {
      this.#channel.send(JSON.stringify({ type: 'pong', n: message.n }));
    } else if (message?.type === 'pong' && typeof message.n === 'number' && message.n > 0) {
      this.#onPong?.(message.n);
    }
  }

  /**
   * Asks the other side for a sign of life: whatever comes of it is received.
   * @returns {boolean} whether it could be asked
   */
  ask() {
    if (this.#channel.readyState !== 'open') return false;
    // What could not be sent yet asks already.
    if (this.#channel.bufferedAmount === 0) this.#channel.send('{"type":"ping","n":0}');
    return true;
  }

  /**
   * Sends pings 1 to `count` and waits for their pongs. One run at a time.
   * @param {number} count
   * @returns {Promise<EchoResult>}
   */
  run(count) {
    if (this.#channel.readyState !== 'open') return Promise.reject(new Error('the echo channel is not open'));
    if (this.#onPong) return Promise.reject(new Error('an echo run is under way'));
    return new Promise((resolve) => {
      let echoed = 0;
      let inOrder = true;
      const finish = () => {
        this.#clock.clearTimeout(timer);
        this.#onPong = null;
        resolve({ sent: count, echoed, inOrder });
      };
      const timer = this.#clock.setTimeout(finish, RUN_LIMIT_MS);
      this.#onPong = (n) => {
        echoed += 1;
        inOrder &&= n === echoed;
        if (echoed === count) finish();
      };
      for (let n = 1; n <= count; n += 1) this.#channel.send(JSON.stringify({ type: 'ping', n }));
    });
  }
}

/**
 * The object that a text message holds, or null.
 * @param {unknown} data
 * @returns {Record<string, unknown> | null}
 */
export function parseObject(data) {
  if (typeof data !== 'string') return null;
  try {
    const value = JSON.parse(data);
    return value !== null && typeof value === 'object' && !Array.isArray(value) ? value : null;
  } catch {
    return null;
  }
}
