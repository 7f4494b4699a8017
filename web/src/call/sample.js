// One look at a connection: what getStats() says, by names of our own. Pure.

import { readStatistics, selectedPair } from './path.js';

/** @import { Sending } from './bandwidth.js' */
/** @import { PathKind } from './path.js' */

/**
 * Counters go up as long as the connection lives; the rest is of now. Null: the browser does not tell.
 * @typedef {object} MediaSample
 * @property {string | null} codec such as `opus` or `VP8`
 * @property {number} packets received
 * @property {number} lost
 * @property {number | null} jitterMs
 * @property {number | null} width of the picture, in pixels
 * @property {number | null} height
 * @property {number | null} framesPerSecond
 *
 * @typedef {object} Sample
 * @property {number} at milliseconds since 1970
 * @property {PathKind | null} path
 * @property {string} pair which candidate pair carries; another one has other counters
 * @property {string} protocol between the two ends, or between us and our relay: `udp`, `tcp`, `tls`
 * @property {string | null} relayHere URL of our relay, if we use one
 * @property {boolean} relayThere whether they use one
 * @property {number | null} roundTripMs
 * @property {number} bytesIn
 * @property {number} bytesOut
 * @property {MediaSample | null} audio
 * @property {MediaSample | null} video the larger one, if there are several
 * @property {number | null} lossOut share of our packets that the other side missed lately, 0 to 1
 * @property {Sending} sending
 * @property {string | null} dtls such as `DTLS 1.3`
 * @property {string | null} dtlsCipher
 * @property {string | null} srtpCipher
 */

/** @type {Record<string, string>} */
const DTLS_VERSIONS = { FEFF: 'DTLS 1.0', FEFD: 'DTLS 1.2', FEFC: 'DTLS 1.3' };

/**
 * @param {Iterable<any>} report the values of an RTCStatsReport
 * @param {number} at milliseconds since 1970
 * @returns {Sample}
 */
export function readSample(report, at) {
  const entries = [...report];
  const byId = new Map(entries.map((entry) => [entry.id, entry]));
  const { path, protocol, roundTripMs } = readStatistics(entries);
  const pair = selectedPair(byId);
  const local = byId.get(pair?.localCandidateId);
  const remote = byId.get(pair?.remoteCandidateId);
  const transport = entries.find(({ type }) => type === 'transport');
  const inbound = entries.filter(({ type }) => type === 'inbound-rtp');
  const losses = entries.filter(({ type }) => type === 'remote-inbound-rtp').flatMap(({ fractionLost }) => fractionLost ?? []);
  return {
    at,
    path,
    pair: pair?.id ?? '',
    protocol,
    relayHere: local?.candidateType === 'relay' ? (local.url ?? '') : null,
    relayThere: remote?.candidateType === 'relay',
    roundTripMs,
    bytesIn: pair?.bytesReceived ?? 0,
    bytesOut: pair?.bytesSent ?? 0,
    audio: media(inbound, 'audio', byId),
    video: media(inbound, 'video', byId),
    lossOut: losses.length > 0 ? Math.max(...losses) : null,
    sending: {
      available: pair?.availableOutgoingBitrate ?? null,
      limited: entries.some(({ type, qualityLimitationReason }) => type === 'outbound-rtp' && qualityLimitationReason === 'bandwidth'),
    },
    dtls: transport?.tlsVersion ? (DTLS_VERSIONS[transport.tlsVersion.toUpperCase()] ?? transport.tlsVersion) : null,
    dtlsCipher: transport?.dtlsCipher ?? null,
    srtpCipher: transport?.srtpCipher ?? null,
  };
}

/**
 * All streams of a kind together; codec and size are those of the one with the largest picture.
 * @param {any[]} inbound
 * @param {'audio' | 'video'} kind
 * @param {Map<string, any>} byId
 * @returns {MediaSample | null}
 */
function media(inbound, kind, byId) {
  const streams = inbound.filter((entry) => entry.kind === kind && entry.packetsReceived > 0);
  if (streams.length === 0) return null;
  const sum = (/** @type {string} */ name) => streams.reduce((total, stream) => total + (stream[name] ?? 0), 0);
  const main = streams.reduce((best, stream) => ((stream.frameWidth ?? 0) > (best.frameWidth ?? 0) ? stream : best));
  const jitters = streams.flatMap(({ jitter }) => jitter ?? []);
  return {
    codec: byId.get(main.codecId)?.mimeType?.split('/')[1] ?? null,
    packets: sum('packetsReceived'),
    lost: sum('packetsLost'),
    jitterMs: jitters.length > 0 ? Math.max(...jitters) * 1000 : null,
    width: main.frameWidth ?? null,
    height: main.frameHeight ?? null,
    framesPerSecond: main.framesPerSecond ?? null,
  };
}
