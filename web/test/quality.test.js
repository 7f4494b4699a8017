import assert from 'node:assert/strict';
import { test } from 'node:test';
import { History, KEPT, SETTLING_MS } from '../src/call/quality.js';
import { connectionReport } from '../src/call/report.js';
import { readSample } from '../src/call/sample.js';
import { graphPath, graphTop } from '../src/view/graph.js';
import { bitRate, duration, fileSize, useLanguage } from '../src/texts/texts.js';

/** @import { Sample } from '../src/call/sample.js' */

/** A connection that is looked at once a second, as well as told. */
function watched() {
  const history = new History();
  let at = 0;
  let packets = 0;
  let lost = 0;
  let pair = 'first';
  /** @param {{lossPercent?: number, roundTripMs?: number, jitterMs?: number, path?: Sample['path']}} [given] */
  const second = ({ lossPercent = 0, roundTripMs = 20, jitterMs = 2, path = /** @type {const} */ ('host') } = {}) => {
    at += 1000;
    packets += 100 - lossPercent;
    lost += lossPercent;
    history.add({
      at, path, pair, protocol: 'udp', relayHere: null, relayThere: false, roundTripMs, bytesIn: packets * 1000, bytesOut: packets * 500,
      audio: { codec: 'opus', packets, lost, jitterMs, width: null, height: null, framesPerSecond: null },
      video: null, sending: { available: null, limited: false }, lossOut: null, dtls: null, dtlsCipher: null, srtpCipher: null,
    });
  };
  const seconds = (/** @type {number} */ count, /** @type {Parameters<typeof second>[0]} */ given) => {
    for (let n = 0; n < count; n += 1) second(given);
  };
  return {
    history,
    seconds,
    wayChanges: () => {
      pair += "'";
    },
    level: () => history.quality?.level ?? null,
  };
}

const SETTLED = SETTLING_MS / 1000 + 6;

test('while a connection settles nothing is judged, however bad it looks', () => {
  const { history, seconds } = watched();
  for (let n = 0; n < SETTLING_MS / 1000; n += 1) {
    seconds(1, { lossPercent: 60, roundTripMs: 2000 });
    assert.equal(history.quality, null);
  }
});

test('what stays bad is told, with its reason, and what stays good again is forgiven', () => {
  for (const [given, reason] of /** @type {const} */ ([[{ lossPercent: 20 }, 'loss'], [{ roundTripMs: 900 }, 'delay'], [{ jitterMs: 200 }, 'jitter']])) {
    const { history, seconds, level } = watched();
    seconds(SETTLED, {});
    assert.deepEqual(history.quality, { level: 'good', reason: null });
    seconds(2, given);
    assert.equal(level(), 'good', 'two bad seconds are no bad connection');
    seconds(1, given);
    assert.deepEqual(history.quality, { level: 'poor', reason });
    seconds(3, {});
    assert.equal(level(), 'good');
  }
});

test('between good and poor there is fair', () => {
  const { history, seconds } = watched();
  seconds(SETTLED, { lossPercent: 5 });
  assert.deepEqual(history.quality, { level: 'fair', reason: 'loss' });
  seconds(2, { lossPercent: 30 });
  assert.equal(history.quality?.level, 'fair');
});

test('after another way was taken it settles again', () => {
  const { seconds, level, wayChanges } = watched();
  seconds(SETTLED, { lossPercent: 20 });
  assert.equal(level(), 'poor');
  wayChanges();
  seconds(5, { lossPercent: 20 });
  assert.equal(level(), null);
  seconds(SETTLED, {});
  assert.equal(level(), 'good');
});

test('figures are of what happened between two looks, and do not grow without end', () => {
  const { history, seconds } = watched();
  seconds(1, { lossPercent: 50 });
  assert.deepEqual([history.points[0].lossPercent, history.points[0].bitsIn], [null, null], 'nothing to compare the first with');
  seconds(1, { lossPercent: 25 });
  assert.deepEqual([history.points[1].lossPercent, history.points[1].bitsIn, history.points[1].bitsOut], [25, 75 * 8000, 75 * 4000]);
  seconds(KEPT * 2, {});
  assert.equal(history.points.length, KEPT);
});

test('without a way there is nothing to tell', () => {
  const { history, seconds, level } = watched();
  seconds(SETTLED, {});
  seconds(1, { path: null });
  assert.deepEqual([level(), history.points.length], [null, SETTLED]);
});

/** What Chromium tells of a call through a relay. */
const REPORT = [
  { id: 'T', type: 'transport', selectedCandidatePairId: 'P', tlsVersion: 'FEFC', dtlsCipher: 'TLS_AES_128_GCM_SHA256', srtpCipher: 'SRTP_AES128_CM_HMAC_SHA1_80' },
  { id: 'P', type: 'candidate-pair', localCandidateId: 'L', remoteCandidateId: 'R', currentRoundTripTime: 0.03, bytesReceived: 7000, bytesSent: 500, availableOutgoingBitrate: 900_000 },
  { id: 'L', type: 'local-candidate', candidateType: 'relay', protocol: 'udp', relayProtocol: 'tcp', url: 'turn:relay.example:3478?transport=tcp' },
  { id: 'R', type: 'remote-candidate', candidateType: 'relay', protocol: 'udp' },
  { id: 'A', type: 'inbound-rtp', kind: 'audio', codecId: 'C1', packetsReceived: 10, packetsLost: 1, jitter: 0.004 },
  { id: 'V1', type: 'inbound-rtp', kind: 'video', codecId: 'C2', packetsReceived: 100, packetsLost: 3, jitter: 0.01, frameWidth: 320, frameHeight: 180 },
  { id: 'V2', type: 'inbound-rtp', kind: 'video', codecId: 'C3', packetsReceived: 50, packetsLost: -1, frameWidth: 1280, frameHeight: 720, framesPerSecond: 15 },
  { id: 'S', type: 'outbound-rtp', kind: 'video', qualityLimitationReason: 'bandwidth' },
  { id: 'C1', type: 'codec', mimeType: 'audio/opus' },
  { id: 'C2', type: 'codec', mimeType: 'video/VP8' },
  { id: 'C3', type: 'codec', mimeType: 'video/AV1' },
  { id: 'O1', type: 'remote-inbound-rtp', kind: 'audio', fractionLost: 0.02 },
  { id: 'O2', type: 'remote-inbound-rtp', kind: 'video', fractionLost: 0.1 },
];

test('a look at a connection has its way, media and encryption', () => {
  assert.deepEqual(readSample(REPORT, 7), {
    at: 7,
    path: 'relay',
    pair: 'P',
    protocol: 'tcp',
    relayHere: 'turn:relay.example:3478?transport=tcp',
    relayThere: true,
    roundTripMs: 30,
    bytesIn: 7000,
    bytesOut: 500,
    audio: { codec: 'opus', packets: 10, lost: 1, jitterMs: 4, width: null, height: null, framesPerSecond: null },
    video: { codec: 'AV1', packets: 150, lost: 2, jitterMs: 10, width: 1280, height: 720, framesPerSecond: 15 },
    lossOut: 0.1,
    sending: { available: 900_000, limited: true },
    dtls: 'DTLS 1.3',
    dtlsCipher: 'TLS_AES_128_GCM_SHA256',
    srtpCipher: 'SRTP_AES128_CM_HMAC_SHA1_80',
  });
  const empty = readSample([], 7);
  assert.deepEqual([empty.path, empty.audio, empty.video, empty.dtls, empty.lossOut], [null, null, null, null, null]);
});

test('the report of a connection has its present and its past', () => {
  const history = new History();
  history.add(readSample(REPORT, 1000));
  history.add(readSample(REPORT, 2000));
  const active = /** @type {any} */ ({ history, rawStates: { connectionState: 'connected', iceState: 'connected' } });
  const written = connectionReport({ id: 'p', active });
  assert.deepEqual([written.history.length, written.now?.relayHere, written.quality], [2, 'turn:relay.example:3478?transport=tcp', null]);
});

test('a graph leaves gaps where nothing is known, and has a round upper edge', () => {
  assert.equal(graphPath([0, 5, null, 10], 4, 10), 'M0 40L80 20M240 0');
  assert.equal(graphPath([99], 3, 10), 'M240 0');
  assert.equal(graphPath([], 3, 10), '');
  assert.deepEqual([graphTop([], 100), graphTop([101], 100), graphTop([null, 340], 100), graphTop([7e5], 1)], [100, 200, 500, 1e6]);
});

test('sizes, times and rates read as people write them', async () => {
  await useLanguage('en');
  assert.deepEqual([fileSize(0), fileSize(1500), fileSize(2_147_483_648), duration(12.1), duration(600)], ['0 bytes', '1.5 kB', '2.1 GB', '13 sec', '10 min']);
  assert.deepEqual([bitRate(64_000), bitRate(1_540_000)], ['64 kb/s', '1.5 Mb/s']);
  await useLanguage('ko');
  assert.equal(duration(600), '10분');
});
