// Reads what getStats() says about a connection. Pure.

/**
 * How media travels: the least direct of the two ends of the selected candidate pair.
 * @typedef {'host' | 'prflx' | 'srflx' | 'relay'} PathKind
 *
 * @typedef {object} LinkStatistics
 * @property {PathKind | null} path null while no pair is selected
 * @property {string} protocol of the local candidate, or of the way to the relay: `udp`, `tcp`, `tls`
 * @property {number | null} roundTripMs
 * @property {number} framesDecoded
 * @property {number} audioBytes received
 */

/** From direct to relayed. */
const KINDS = /** @type {const} */ (['host', 'prflx', 'srflx', 'relay']);

/**
 * @param {Iterable<any>} report the values of an RTCStatsReport
 * @returns {LinkStatistics}
 */
export function readStatistics(report) {
  /** @type {Map<string, any>} */
  const byId = new Map();
  for (const entry of report) byId.set(entry.id, entry);
  let framesDecoded = 0;
  let audioBytes = 0;
  for (const entry of byId.values()) {
    if (entry.type !== 'inbound-rtp') continue;
    if (entry.kind === 'video') framesDecoded += entry.framesDecoded ?? 0;
    if (entry.kind === 'audio') audioBytes += entry.bytesReceived ?? 0;
  }
  const pair = selectedPair(byId);
  const local = byId.get(pair?.localCandidateId);
  const remote = byId.get(pair?.remoteCandidateId);
  return {
    path: pair ? leastDirect(local?.candidateType, remote?.candidateType) : null,
    protocol: local?.relayProtocol ?? local?.protocol ?? '',
    roundTripMs: pair?.currentRoundTripTime === undefined ? null : pair.currentRoundTripTime * 1000,
    framesDecoded,
    audioBytes,
  };
}

/**
 * Firefox has no transport entry and marks the pair instead.
 * @param {Map<string, any>} byId
 */
export function selectedPair(byId) {
  for (const entry of byId.values()) {
    if (entry.type === 'transport' && entry.selectedCandidatePairId) return byId.get(entry.selectedCandidatePairId);
  }
  for (const entry of byId.values()) {
    if (entry.type === 'candidate-pair' && entry.selected) return entry;
  }
  return undefined;
}

/**
 * @param {unknown} local
 * @param {unknown} remote
 * @returns {PathKind}
 */
function leastDirect(local, remote) {
  const rank = (/** @type {unknown} */ kind) => KINDS.findIndex((known) => known === kind);
  return KINDS[Math.max(rank(local), rank(remote), 0)];
}
