// Sends data from this page to itself through the relay, and measures the way. No DOM.

import { readStatistics } from '../call/path.js';

/** @import { Clock } from '../protocol/types.js' */

/** How long the way may take to open, in milliseconds. */
const CONNECT_LIMIT_MS = 12_000;
/** Round trips that are measured. */
const PINGS = 10;
/** Loss is measured with what a video call sends: packets of this size, in bytes, at this distance, for this long, in milliseconds. */
const PACKET_BYTES = 1000;
const PACKET_INTERVAL_MS = 10;
const PACED_MS = 2000;
/** How long late packets are waited for, in milliseconds. */
const LATE_MS = 1000;
/** Throughput is measured for this long, in milliseconds, with so much on the way, in bytes. */
const FLOOD_MS = 2000;
const FLOOD_WINDOW_BYTES = 512 * 1024;
const FLOOD_CHUNK_BYTES = 16 * 1024;

/**
 * @typedef {{connected: false, reason: string, addresses: number}
 *   | {connected: true, protocol: string, roundTripMs: number, sent: number, received: number, bitsPerSecond: number}
 * } LoopbackOutcome `addresses` is how many of the two ends the relay gave an address; `roundTripMs` goes twice through the relay, to and fro, as between two people
 */

/**
 * @param {object} options
 * @param {(configuration: RTCConfiguration) => RTCPeerConnection} options.createConnection
 * @param {RTCIceServer} options.server of TURN
 * @param {Clock} options.clock
 * @returns {Promise<LoopbackOutcome>}
 */
export async function loopBack({ createConnection, server, clock }) {
  /** @type {RTCConfiguration} */
  const configuration = { iceServers: [server], iceTransportPolicy: 'relay' };
  const near = createConnection(configuration);
  const far = createConnection(configuration);
  /** Ends that have an address of the relay's. @type {Set<RTCPeerConnection>} */
  const placed = new Set();
  try {
    // Not ordered, and nothing is sent again: what the relay loses stays lost.
    const packets = channels(near, far, 0, { ordered: false, maxRetransmits: 0 });
    const flow = channels(near, far, 1, { ordered: false });
    await withLimit(connect(near, far, [packets.near, packets.far, flow.near, flow.far], placed), CONNECT_LIMIT_MS, clock);
    const roundTripMs = await roundTrip(packets, clock);
    const { sent, received } = await paced(packets, clock);
    const bitsPerSecond = await flood(flow, clock);
    const report = /** @type {Map<string, any>} */ (/** @type {unknown} */ (await near.getStats()));
    return { connected: true, protocol: readStatistics(report.values()).protocol, roundTripMs, sent, received, bitsPerSecond };
  } catch (error) {
    return { connected: false, reason: String(error), addresses: placed.size };
  } finally {
    near.close();
    far.close();
  }
}

/** @typedef {{near: RTCDataChannel, far: RTCDataChannel}} ChannelPair */

/**
 * @param {RTCPeerConnection} near
 * @param {RTCPeerConnection} far
 * @param {number} id
 * @param {RTCDataChannelInit} init
 * @returns {ChannelPair}
 */
function channels(near, far, id, init) {
  const open = (/** @type {RTCPeerConnection} */ connection) => {
    const channel = connection.createDataChannel('check', { ...init, negotiated: true, id });
    channel.binaryType = 'arraybuffer';
    return channel;
  };
  return { near: open(near), far: open(far) };
}

/**
 * @param {RTCPeerConnection} near
 * @param {RTCPeerConnection} far
 * @param {RTCDataChannel[]} opening
 * @param {Set<RTCPeerConnection>} placed
 */
async function connect(near, far, opening, placed) {
  const opened = Promise.all(
    opening.map((channel) => new Promise((resolve) => channel.addEventListener('open', resolve, { once: true }))),
  );
  for (const [from, to] of [[near, far], [far, near]]) {
    from.onicecandidate = ({ candidate }) => {
      if (candidate) placed.add(from);
      // One that comes after the end is refused; nobody minds.
      void to.addIceCandidate(candidate ?? undefined).catch(() => undefined);
    };
  }
  const offer = await near.createOffer();
  await far.setRemoteDescription(offer);
  await near.setLocalDescription(offer);
  const answer = await far.createAnswer();
  await near.setRemoteDescription(answer);
  await far.setLocalDescription(answer);
  await opened;
}

/**
 * The median of some round trips.
 * @param {ChannelPair} pair
 * @param {Clock} clock
 */
async function roundTrip({ near, far }, clock) {
  far.onmessage = ({ data }) => far.send(data);
  /** @type {number[]} */
  const times = [];
  for (let n = 0; n < PINGS; n += 1) {
    const began = clock.now();
    const returned = new Promise((resolve) => {
      near.onmessage = ({ data }) => {
        if (new DataView(data).getUint32(0) === n) resolve(undefined);
      };
    });
    near.send(numbered(n, 4));
    // A lost one is not waited for.
    await withLimit(returned, LATE_MS, clock).then(
      () => times.push(clock.now() - began),
      () => undefined,
    );
  }
  near.onmessage = null;
  far.onmessage = null;
  if (times.length === 0) throw new Error('no packet came back');
  return times.sort((a, b) => a - b)[times.length >> 1];
}

/**
 * @param {ChannelPair} pair
 * @param {Clock} clock
 */
async function paced({ near, far }, clock) {
  /** @type {Set<number>} */
  const arrived = new Set();
  far.onmessage = ({ data }) => arrived.add(new DataView(data).getUint32(0));
  const began = clock.now();
  let sent = 0;
  for (let elapsed = 0; elapsed < PACED_MS; elapsed = clock.now() - began) {
    // Timers are late; what is due is sent.
    while (sent * PACKET_INTERVAL_MS <= elapsed) near.send(numbered(sent++, PACKET_BYTES));
    await pause(PACKET_INTERVAL_MS, clock);
  }
  for (let waited = 0; arrived.size < sent && waited < LATE_MS; waited += PACKET_INTERVAL_MS) {
    await pause(PACKET_INTERVAL_MS, clock);
  }
  far.onmessage = null;
  return { sent, received: arrived.size };
}

/**
 * @param {ChannelPair} pair
 * @param {Clock} clock
 * @returns {Promise<number>} bits per second that arrived
 */
async function flood({ near, far }, clock) {
  const chunk = new Uint8Array(FLOOD_CHUNK_BYTES);
  const began = clock.now();
  let arrived = 0;
  let last = began;
  far.onmessage = ({ data }) => {
    arrived += data.byteLength;
    last = clock.now();
  };
  const fill = () => {
    while (near.readyState === 'open' && near.bufferedAmount < FLOOD_WINDOW_BYTES) near.send(chunk);
  };
  near.bufferedAmountLowThreshold = FLOOD_WINDOW_BYTES / 2;
  near.onbufferedamountlow = fill;
  fill();
  await pause(FLOOD_MS, clock);
  near.onbufferedamountlow = null;
  far.onmessage = null;
  return Math.round((arrived * 8000) / Math.max(1, last - began));
}

/**
 * @param {number} n
 * @param {number} length
 */
function numbered(n, length) {
  const bytes = new Uint8Array(length);
  new DataView(bytes.buffer).setUint32(0, n);
  return bytes;
}

/**
 * @param {number} ms
 * @param {Clock} clock
 */
function pause(ms, clock) {
  return new Promise((resolve) => clock.setTimeout(() => resolve(undefined), ms));
}

/**
 * @template T
 * @param {Promise<T>} promise
 * @param {number} ms
 * @param {Clock} clock
 * @returns {Promise<T>} rejects when time is up
 */
function withLimit(promise, ms, clock) {
  return new Promise((resolve, reject) => {
    const timer = clock.setTimeout(() => reject(new Error(`not within ${ms} ms`)), ms);
    promise.then(resolve, reject).finally(() => clock.clearTimeout(timer));
  });
}
