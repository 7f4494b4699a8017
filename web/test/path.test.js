import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readStatistics } from '../src/call/path.js';

/**
 * @param {string} local
 * @param {string} remote
 * @param {object[]} more
 */
function report(local, remote, ...more) {
  return [
    { id: 'T', type: 'transport', selectedCandidatePairId: 'P' },
    { id: 'P', type: 'candidate-pair', localCandidateId: 'L', remoteCandidateId: 'R', currentRoundTripTime: 0.025 },
    { id: 'X', type: 'candidate-pair', localCandidateId: 'R', remoteCandidateId: 'L', nominated: true },
    { id: 'L', type: 'local-candidate', candidateType: local, protocol: 'udp' },
    { id: 'R', type: 'remote-candidate', candidateType: remote, protocol: 'udp' },
    ...more,
  ];
}

test('a path is as direct as its less direct end', () => {
  assert.equal(readStatistics(report('host', 'host')).path, 'host');
  assert.equal(readStatistics(report('host', 'relay')).path, 'relay');
  assert.equal(readStatistics(report('relay', 'prflx')).path, 'relay');
  assert.equal(readStatistics(report('prflx', 'srflx')).path, 'srflx');
});

test('without a selected pair there is no path', () => {
  assert.deepEqual(readStatistics([]), { path: null, protocol: '', roundTripMs: null, framesDecoded: 0, audioBytes: 0 });
});

test('Firefox marks the pair itself', () => {
  const [, pair, , local, remote] = report('srflx', 'host');
  assert.equal(readStatistics([{ ...pair, selected: true }, local, remote]).path, 'srflx');
});

test('media is added up over all tracks', () => {
  const statistics = readStatistics(
    report(
      'host',
      'host',
      { id: '1', type: 'inbound-rtp', kind: 'video', framesDecoded: 10, bytesReceived: 1 },
      { id: '2', type: 'inbound-rtp', kind: 'video', framesDecoded: 5 },
      { id: '3', type: 'inbound-rtp', kind: 'audio', bytesReceived: 700 },
      { id: '4', type: 'outbound-rtp', kind: 'audio', bytesReceived: 9 },
    ),
  );
  assert.equal(statistics.framesDecoded, 15);
  assert.equal(statistics.audioBytes, 700);
  assert.equal(statistics.roundTripMs, 25);
});
