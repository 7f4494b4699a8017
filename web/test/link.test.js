import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Echo } from '../src/call/echo.js';
import { Link } from '../src/call/link.js';
import { FakeClock } from '../testing/random.js';

/** @param {boolean} polite */
function setUp(polite) {
  const clock = new FakeClock();
  let restarts = 0;
  let silences = 0;
  const world = { hears: true };
  /** @type {Record<string, any>} */ const channels = {};
  /** @type {object[]} */ let statistics = [];
  const connection = {
    onicecandidateerror: (/** @type {object} */ _error) => {},
    getStats: async () => new Map(statistics.map((entry, index) => [index, entry])),
    connectionState: 'new',
    onconnectionstatechange: () => {},
    onsignalingstatechange: () => {},
    createDataChannel: (/** @type {string} */ label) => {
      /** @type {string[]} */ const sent = [];
      return (channels[label] = { addEventListener: () => {}, readyState: 'connecting', bufferedAmount: 0, sent, send: (/** @type {string} */ text) => sent.push(text) });
    },
    restartIce: () => void (restarts += 1),
    close: () => {},
  };
  const link = new Link({
    createConnection: () => /** @type {any} */ (connection),
    polite,
    send: () => {},
    newStream: () => /** @type {any} */ ({}),
    onChange: () => {},
    onChat: () => {},
    onFiles: () => {},
    onClosed: () => {},
    onBroken: () => {},
    mayRestart: () => world.hears,
    onSilence: () => void (silences += 1),
    clock,
  });
  /** A second passes, in which so many bytes come. @param {number} bytes @param {object} [more] */
  const second = async (bytes, more, ms = 1000) => {
    clock.advance(ms);
    heard += bytes;
    statistics = [{ id: 'P', type: 'candidate-pair', selected: true, bytesReceived: heard, timestamp: clock.now(), ...more }];
    await link.updateStatistics();
  };
  let heard = 0;
  const become = (/** @type {string} */ state) => {
    connection.connectionState = state;
    connection.onconnectionstatechange();
  };
  return { link, connection, clock, become, second, world, channels, restarts: () => restarts, silences: () => silences };
}

test('a failed path is replaced at once, by the impolite side', () => {
  for (const polite of [true, false]) {
    const { link, become, restarts } = setUp(polite);
    become('connected');
    become('failed');
    assert.equal(restarts(), polite ? 0 : 1);
    assert.equal(link.state, 'failed');
  }
});

test('the polite side replaces a failed path when the other does not, as it may not know', () => {
  const { clock, become, restarts } = setUp(true);
  become('failed');
  clock.advance(900);
  assert.equal(restarts(), 0);
  become('connected');
  clock.advance(60_000);
  assert.equal(restarts(), 0, 'the other one has done it');
  become('failed');
  clock.advance(1000);
  assert.equal(restarts(), 1);
});

test('an interruption gets three seconds to end by itself', () => {
  const { link, clock, become, restarts } = setUp(false);
  become('connected');
  become('disconnected');
  assert.equal(link.state, 'interrupted');
  clock.advance(2900);
  become('connected');
  clock.advance(60_000);
  assert.equal(restarts(), 0);
  become('disconnected');
  clock.advance(3000);
  assert.equal(restarts(), 1);
});

// An address that a router had changed was told to nobody: six seconds until the browser noticed, and three of ours.
test('where packets came steadily and come no more, another way is looked for before the browser says so', async () => {
  const { link, become, second, restarts, silences } = setUp(false);
  become('connected');
  for (let n = 0; n < 4; n += 1) await second(5000);
  assert.equal(link.carries, true);
  await second(0);
  assert.deepEqual([restarts(), silences()], [0, 0]);
  await second(0);
  assert.deepEqual([restarts(), silences(), link.carries], [1, 1, false]);
  assert.equal(link.state, 'connected', 'by the browser');
  await second(0);
  assert.equal(restarts(), 1, 'once');
  await second(5000);
  assert.equal(link.carries, true);
});

test('a pause is looked at again when it is one for too long, not a second later', async () => {
  const { clock, become, second, restarts } = setUp(false);
  become('connected');
  for (let n = 0; n < 4; n += 1) await second(5000);
  await second(0);
  // The clock of these statistics stands still; what counts is that they are asked for.
  const looked = clock.pending;
  assert.deepEqual(looked.filter((ms) => ms < 1000), [800]);
  assert.equal(restarts(), 0);
});

// A person who mutes everything, or a call of files alone, must not be taken for dead; an empty second asks for a sign of life.
test('where little comes the other side is asked, and silence is longer', async () => {
  const { channels, become, second, restarts } = setUp(false);
  become('connected');
  channels.echo.readyState = 'open';
  for (let n = 0; n < 5; n += 1) await second(5000);
  await second(0);
  assert.deepEqual(channels.echo.sent, ['{"type":"ping","n":0}']);
  for (let n = 0; n < 30; n += 1) await second(n % 2 ? 0 : 120);
  assert.equal(restarts(), 0);
  for (let n = 0; n < 5; n += 1) await second(0);
  assert.equal(restarts(), 1);
});

test('attempts that do not help become rarer, and there is none that the other side could not hear of', async () => {
  const { link, clock, become, second, restarts, world } = setUp(false);
  become('connected');
  for (let n = 0; n < 5; n += 1) await second(5000);
  world.hears = false;
  for (let n = 0; n < 30; n += 1) await second(0);
  assert.equal(restarts(), 0);
  // Back: that is news, once.
  world.hears = true;
  link.findWay();
  link.findWay();
  assert.equal(restarts(), 1);
  /** @type {number[]} */ const seen = [];
  for (let n = 0; n < 60; n += 1) {
    await second(0);
    seen.push(restarts());
  }
  assert.deepEqual([3, 7, 20, 40, 59].map((at) => seen[at]), [1, 2, 3, 4, 5]);
  // A way that has carried for a while ends the series.
  for (let n = 0; n < 15; n += 1) await second(5000);
  for (let n = 0; n < 2; n += 1) await second(0);
  assert.equal(restarts(), 6);
  world.hears = false;
  become('failed');
  clock.advance(60_000);
  assert.equal(restarts(), 6);
});

test('the polite side does not wait for the other where that can know of nothing', () => {
  const { link, clock, become, restarts } = setUp(true);
  become('connected');
  link.restartIce(true);
  clock.advance(0);
  assert.equal(restarts(), 1);
});

test('the polite side leaves it to the other, unless packets come again', async () => {
  const { clock, become, second, restarts } = setUp(true);
  become('connected');
  for (let n = 0; n < 4; n += 1) await second(5000);
  await second(0);
  await second(0);
  await second(5000, {}, 500);
  clock.advance(10_000);
  assert.equal(restarts(), 0);
});

// "No way through yet" was to be read for half a second every 15 s, as looking again made it "connecting".
test('without a way so far it stays so until there is one', () => {
  const { link, connection, clock, become } = setUp(false);
  become('connecting');
  clock.advance(15_000);
  assert.equal(link.state, 'failed', 'also where the browser has nothing to try');
  for (const state of ['failed', 'connecting', 'new', 'disconnected']) {
    become(state);
    assert.equal(link.state, 'failed', state);
  }
  connection.onicecandidateerror({ errorCode: 701 });
  assert.equal(link.state, 'failed');
  connection.onicecandidateerror({ errorCode: 486 });
  assert.equal(link.state, 'full');
  become('connected');
  become('connecting');
  assert.equal(link.state, 'interrupted');
});

// With a relay that is gone for good Chromium has nothing to try, and says `connecting` for ever: "interrupted" was to be read all the time.
test('a way that was there and does not come back is none after a while', () => {
  const { link, clock, become } = setUp(false);
  become('connected');
  become('disconnected');
  become('connecting');
  assert.equal(link.state, 'interrupted');
  clock.advance(15_000);
  assert.equal(link.state, 'failed');
  become('connected');
  assert.equal(link.state, 'connected');
  become('disconnected');
  clock.advance(14_000);
  assert.equal(link.state, 'interrupted', 'counted anew');
});

test('a path under way is a first attempt or a recovery', () => {
  const { link, become } = setUp(false);
  become('connecting');
  assert.equal(link.state, 'connecting');
  become('connected');
  become('connecting');
  assert.equal(link.state, 'interrupted');
});

test('who wants no encryption is refused, and that is told', async () => {
  const { link } = setUp(false);
  link.receive({ epoch: 1, description: { type: 'offer', sdp: 'v=0\r\nm=audio 9 RTP/AVP 0\r\n' } });
  await new Promise((next) => setImmediate(next));
  assert.equal(link.state, 'refused');
});

test('pictures without a common format are noticed in the descriptions', () => {
  const { link, connection } = setUp(false);
  for (const [currentLocalDescription, currentRemoteDescription, without] of /** @type {const} */ ([
    [null, null, false],
    [{ sdp: 'v=0\r\nm=audio 9 x 1\r\nm=video 9 x 2\r\n' }, { sdp: 'v=0\r\nm=audio 0 x 1\r\nm=video 9 x 2\r\n' }, false],
    [{ sdp: 'v=0\r\nm=audio 9 x 1\r\nm=video 9 x 2\r\n' }, { sdp: 'v=0\r\nm=audio 9 x 1\r\nm=video 0 x 2\r\n' }, true],
    [{ sdp: 'v=0\nm=video 0 x 2\n' }, { sdp: 'v=0\nm=video 9 x 2\n' }, true],
    // Firefox offers so what is to share the way of the first section: pictures were there, and covered by words.
    [{ sdp: 'v=0\nm=audio 9 x 1\nm=video 0 x 2\na=bundle-only\n' }, { sdp: 'v=0\nm=audio 9 x 1\nm=video 9 x 2\n' }, false],
    [{ sdp: 'v=0\nm=video 0 x 2\nm=video 0 x 2\na=bundle-only\n' }, { sdp: 'v=0\n' }, true],
  ])) {
    Object.assign(connection, { currentLocalDescription, currentRemoteDescription });
    connection.onsignalingstatechange();
    assert.equal(link.withoutPictures, without);
  }
});

test('a closed link restarts nothing', () => {
  const { link, clock, become, restarts } = setUp(false);
  become('disconnected');
  link.close();
  clock.advance(60_000);
  assert.equal(restarts(), 0);
});

/** Two echo channels that hear each other. @param {(text: string) => string[]} wire what arrives of a text */
function channels(wire = (text) => [text]) {
  const clock = new FakeClock();
  /** @type {((event: {data: unknown}) => void)[]} */ const listeners = [];
  const channel = (/** @type {number} */ index) => ({
    readyState: 'open',
    addEventListener: (/** @type {string} */ _type, /** @type {any} */ listener) => void (listeners[index] = listener),
    send: (/** @type {string} */ text) => {
      for (const data of wire(text)) listeners[1 - index]({ data });
    },
  });
  const [left, right] = [0, 1].map((index) => new Echo(/** @type {any} */ (channel(index)), clock));
  return { left, right, clock, hear: (/** @type {unknown} */ data) => listeners[0]({ data }) };
}

test('every ping is answered in order', async () => {
  const { left, right } = channels();
  assert.deepEqual(await left.run(50), { sent: 50, echoed: 50, inOrder: true });
  assert.deepEqual(await right.run(3), { sent: 3, echoed: 3, inOrder: true });
});

test('lost and swapped pongs are told', async () => {
  const lossy = channels((text) => (JSON.parse(text).n === 2 ? [] : [text]));
  const run = lossy.left.run(4);
  lossy.clock.advance(10_000);
  assert.deepEqual(await run, { sent: 4, echoed: 3, inOrder: false });
});

test('a channel that carries nonsense goes on', async () => {
  const { left, hear } = channels();
  for (const data of ['{', '[]', 'null', '{"type":"ping"}', '{"type":"pong","n":"1"}', new ArrayBuffer(2)]) hear(data);
  assert.deepEqual(await left.run(2), { sent: 2, echoed: 2, inOrder: true });
});
