// The golden conversations: what every client of `signal.v1` must do, whatever it is written in. The Rust client passes
// the same files; signaling/proto/tests/golden/conversations/README.md explains them.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import { SignalingClient } from '../src/protocol/signaling.js';
import { FakeClock } from '../testing/random.js';
import { FakeSocket } from '../testing/socket.js';

const folder = new URL('../../signaling/proto/tests/golden/conversations/', import.meta.url);
const files = readdirSync(folder).filter((name) => name.endsWith('.json'));

/** Kinds of expectations, each with an order of its own. */
const KINDS = /** @type {const} */ (['expect', 'client', 'app', 'outcome', 'state']);

/**
 * A frame as it is compared: defaults of `hello` are filled in, and the order of `peers` does not matter.
 * @param {any} frame
 */
function normal(frame) {
  if (frame.type !== 'hello') return frame;
  const media = { audio: false, video: false, screen: false, ...frame.media };
  const resume = frame.resume && { ...frame.resume, peers: [...(frame.resume.peers ?? [])].sort() };
  return { role: 'participant', ...frame, media, ...(resume && { resume }) };
}

/** Plays a conversation and tells what has come of each thing that happened. */
class Player {
  #clock = new FakeClock();
  /** @type {FakeSocket | null} */ #socket = null;
  #client;
  /** @type {Map<string, any[]>} */ #effects = new Map();

  /** @param {{hello: any, jitter: number}} conversation */
  constructor({ hello, jitter }) {
    this.#client = new SignalingClient({
      connect: () => {
        const socket = new FakeSocket({
          onSend: (frame) => this.#effect('client', normal(frame)),
          onClose: () => this.#effect('expect', 'disconnect'),
        });
        this.#socket = socket;
        this.#effect('expect', 'connect');
        return socket;
      },
      hello,
      onMessage: (message) => this.#effect('app', message),
      onOutcome: ({ message: _message, ...outcome }) => this.#effect('outcome', outcome),
      onState: (state, { refusal, waitMs }) => {
        if (state === 'waiting') this.#effect('state', { state, ms: waitMs });
        if (state === 'closed') this.#effect('state', { state, ...(refusal && { refusal }) });
      },
      clock: this.#clock,
      random: () => jitter,
    });
  }

  /** @param {any} step */
  play(step) {
    const kind = KINDS.find((known) => known in step);
    if (kind) {
      const wanted = kind === 'state' ? step : kind === 'client' ? normal(step.client) : step[kind];
      assert.deepEqual(this.#effects.get(kind)?.shift(), wanted, JSON.stringify(step));
      return;
    }
    this.finish();
    if ('server' in step) this.#socket?.receive(step.server);
    else this.#act(step);
  }

  /** Nothing has come of the last thing that happened but what was expected. */
  finish() {
    assert.deepEqual([...this.#effects.values()].flat(), []);
  }

  /** @param {any} step */
  #act({ do: action, ms, code, message }) {
    if (action === 'connect') this.#client.connect();
    else if (action === 'open') this.#socket?.onopen();
    else if (action === 'lose') this.#socket?.onclose({ code: code ?? 1006 });
    else if (action === 'advance_ms') this.#clock.advance(ms);
    else if (action === 'send') assert.notEqual(this.#client.send(message), null);
    else if (action === 'leave') this.#client.bye();
    else assert.fail(`unknown action ${action}`);
  }

  /**
   * @param {string} kind
   * @param {any} effect
   */
  #effect(kind, effect) {
    this.#effects.set(kind, [...(this.#effects.get(kind) ?? []), effect]);
  }
}

test('there are conversations', () => {
  assert.ok(files.length >= 15, files.join(' '));
});

for (const file of files) {
  const conversation = JSON.parse(readFileSync(new URL(file, folder), 'utf8'));
  test(`${file}: ${conversation.story}`, () => {
    const player = new Player(conversation);
    for (const step of conversation.steps) player.play(step);
    player.finish();
  });
}
