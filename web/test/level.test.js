import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { levelMeter } from '../src/call/level.js';

const globals = /** @type {any} */ (globalThis);

afterEach(() => {
  delete globals.AudioContext;
  delete globals.AnalyserNode;
});

/** A microphone whose clones are counted while they run. */
function microphone() {
  const running = { count: 0 };
  const clone = () => {
    running.count += 1;
    return { getTracks: () => [{ stop: () => (running.count -= 1) }] };
  };
  return { running, stream: /** @type {any} */ ({ clone }) };
}

class Context {
  static open = 0;
  static rate = 48_000;

  constructor() {
    Context.open += 1;
  }

  async close() {
    Context.open -= 1;
  }

  createMediaStreamSource() {
    if (Context.rate !== 48_000) throw new DOMException('', 'NotSupportedError');
    return { connect: () => {} };
  }
}

// Join did nothing, and `autojoin` showed an empty page, where any of these was missing or threw.
test('where the browser does not measure there is no meter, and nothing stays open', () => {
  const { running, stream } = microphone();
  assert.equal(levelMeter(stream), null, 'Firefox without dom.webaudio.enabled');
  globals.AudioContext = Context;
  assert.equal(levelMeter(stream), null, 'no AnalyserNode');
  globals.AnalyserNode = class {};
  Context.rate = 44_100;
  assert.equal(levelMeter(stream), null, 'another sample rate');
  Context.rate = 48_000;
  assert.deepEqual([running.count, Context.open], [0, 0]);
});

test('a meter follows the ear, and ends with what it has opened', () => {
  const { running, stream } = microphone();
  let loud = 0;
  globals.AudioContext = Context;
  globals.AnalyserNode = class {
    fftSize = 512;
    getFloatTimeDomainData(/** @type {Float32Array} */ samples) {
      samples.fill(loud);
    }
  };
  const meter = levelMeter(stream);
  assert.ok(meter);
  const levels = [0, 0.001, 0.1, 1, 9].map((value) => {
    loud = value;
    return meter.level();
  });
  assert.deepEqual(levels.map((level) => Math.round(level * 100)), [0, 0, 67, 100, 100]);
  assert.deepEqual([running.count, Context.open], [1, 1]);
  meter.close();
  assert.deepEqual([running.count, Context.open], [0, 0]);
});
