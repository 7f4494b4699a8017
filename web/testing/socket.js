// A WebSocket without a network.

export class FakeSocket {
  /** @type {any[]} */ frames = [];
  closed = false;
  readyState = 1;
  /** @type {any} */ onopen = null;
  /** @type {any} */ onmessage = null;
  /** @type {any} */ onclose = null;
  #onSend;
  #onClose;

  /** @param {{onSend?: (frame: any) => void, onClose?: () => void}} [listeners] */
  constructor({ onSend = () => {}, onClose = () => {} } = {}) {
    this.#onSend = onSend;
    this.#onClose = onClose;
  }

  /** @param {string} text */
  send(text) {
    const frame = JSON.parse(text);
    this.frames.push(frame);
    this.#onSend(frame);
  }

  close() {
    this.closed = true;
    this.#onClose();
  }

  /** @param {object | string} frame */
  receive(frame) {
    this.onmessage({ data: typeof frame === 'string' ? frame : JSON.stringify(frame) });
  }
}
