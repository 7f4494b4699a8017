// Asks one or several STUN or TURN servers for addresses, with a connection that is for nothing else. No DOM.

import { familyOf } from './ice_url.js';

/** @import { Clock } from '../protocol/types.js' */

/** How long servers have to answer, in milliseconds. A browser itself would wait for 40 s. */
export const GATHER_LIMIT_MS = 8000;
/** How long the other address family has after the first answer, in milliseconds. */
const GRACE_MS = 1000;

/**
 * @typedef {{family: string, mapped: string, type: string, local: string}} Mapping
 *   what a server saw: `mapped` is address and port; `local` is the socket behind it, empty when it is hidden
 * @typedef {{code: number, text: string, family: string | null, url: string}} IceError
 *
 * @typedef {object} Gathered
 * @property {number | null} ms until the first answer; null: none
 * @property {number} waitedMs
 * @property {boolean} completed whether the browser finished by itself
 * @property {string[]} families `IPv4`, `IPv6`: over which an answer came
 * @property {string[]} relayed relayed addresses
 * @property {Mapping[]} mappings
 * @property {IceError[]} errors
 * @property {string | null} thrown why the browser does not take these servers
 */

/**
 * @param {object} options
 * @param {(configuration: RTCConfiguration) => RTCPeerConnection} options.createConnection
 * @param {RTCIceServer[]} options.servers
 * @param {boolean} options.relayOnly
 * @param {boolean} [options.patient] whether to wait for all servers rather than for the first answer
 * @param {Clock} options.clock
 * @returns {Promise<Gathered>}
 */
export async function gather({ createConnection, servers, relayOnly, patient = false, clock }) {
  const began = clock.now();
  const elapsed = () => Math.round(clock.now() - began);
  /** @type {Gathered} */
  const found = { ms: null, waitedMs: 0, completed: false, families: [], relayed: [], mappings: [], errors: [], thrown: null };
  /** @type {RTCPeerConnection | undefined} */
  let connection;
  /** @type {number[]} */
  const timers = [];
  try {
    const opened = createConnection({ iceServers: servers, iceTransportPolicy: relayOnly ? 'relay' : 'all' });
    connection = opened;
    // Without something to transport nothing is gathered.
    opened.createDataChannel('check');
    const done = new Promise((/** @type {(value?: unknown) => void} */ resolve) => {
      timers.push(clock.setTimeout(resolve, GATHER_LIMIT_MS));
      opened.onicecandidate = ({ candidate }) => {
        if (!candidate || !note(candidate, found) || found.ms !== null) return;
        found.ms = elapsed();
        if (!patient) timers.push(clock.setTimeout(resolve, GRACE_MS));
      };
      opened.onicecandidateerror = ({ errorCode, errorText, address, url }) => {
        const family = address ? familyOf(address) : null;
        found.errors.push({ code: errorCode, text: String(errorText ?? '').slice(0, 200), family, url: String(url ?? '') });
      };
      opened.onicegatheringstatechange = () => {
        if (opened.iceGatheringState !== 'complete') return;
        found.completed = true;
        resolve();
      };
    });
    await opened.setLocalDescription();
    await done;
  } catch (error) {
    found.thrown = String(error);
  }
  for (const timer of timers) clock.clearTimeout(timer);
  // This also gives the relayed address back.
  connection?.close();
  found.waitedMs = elapsed();
  return found;
}

/**
 * @param {RTCIceCandidate} candidate
 * @param {Gathered} found
 * @returns {boolean} whether it proves that a server answered
 */
function note(candidate, found) {
  const { type, address, port, relatedAddress, relatedPort } = candidate;
  if (type !== 'srflx' && type !== 'relay') return false;
  // Of a relayed candidate the related address is what the relay saw; of a reflexive one it is the local one. Either
  // may be hidden behind zeros, of the right family still.
  const seen = type === 'srflx' ? address : relatedAddress;
  if (seen) {
    const family = familyOf(seen);
    if (!found.families.includes(family)) found.families.push(family);
    const seenPort = type === 'srflx' ? port : relatedPort;
    const local = type === 'srflx' && relatedPort ? `${relatedAddress}:${relatedPort}` : '';
    if (seenPort) found.mappings.push({ family, mapped: `${seen}:${seenPort}`, type, local });
  }
  if (type === 'relay' && address) found.relayed.push(`${address}:${port}`);
  return true;
}
