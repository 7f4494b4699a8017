// Frames of the server as messages. What this client cannot read must not stop it: a newer server may say more.

/** @import { InMessage } from './types.js' */

/** @param {unknown} value */
const isText = (value) => typeof value === 'string';
/** @param {unknown} value */
const isCount = (value) => Number.isSafeInteger(value) && /** @type {number} */ (value) >= 0;
/**
 * @param {unknown} value
 * @returns {value is Record<string, any>}
 */
const isObject = (value) => value !== null && typeof value === 'object' && !Array.isArray(value);
/** @param {unknown} value */
const isPeer = (value) => isObject(value) && isText(value.peer) && isObject(value.media);
/** @param {Record<string, any>} message */
const isFromPeer = (message) => isText(message.from) && isCount(message.id) && isCount(message.seq);

/**
 * What a message of each type must have for the client itself; the rest is the application's business.
 * @type {Record<string, (message: Record<string, any>) => boolean>}
 */
const SHAPES = {
  welcome: ({ peer, ticket, resumed, received, ice_servers: servers, room }) =>
    isText(peer) && isText(ticket) && typeof resumed === 'boolean' && isCount(received) && Array.isArray(servers) &&
    isObject(room) && Array.isArray(room.peers) && room.peers.every(isPeer),
  signal: isFromPeer,
  chat: isFromPeer,
  event: isFromPeer,
  peer_joined: ({ seq, peer }) => isCount(seq) && isPeer(peer),
  peer_updated: ({ seq, peer }) => isCount(seq) && isPeer(peer),
  peer_left: ({ seq, peer }) => isCount(seq) && isText(peer),
  delivered: ({ ids, failed = {} }) => Array.isArray(ids) && ids.every(isCount) && isObject(failed),
  ice_servers: ({ seq, ice_servers: servers }) => isCount(seq) && Array.isArray(servers),
  room_updated: ({ seq, locked }) => isCount(seq) && typeof locked === 'boolean',
  ticket: ({ ticket }) => isText(ticket),
  goaway: ({ resume_in_ms: wait }) => isCount(wait),
  error: ({ code, id = 0, retry_after_ms: wait = 0 }) => isText(code) && isCount(id) && isCount(wait),
};

/**
 * @param {unknown} data
 * @returns {InMessage | null}
 */
export function readFrame(data) {
  if (typeof data !== 'string') return null;
  try {
    const message = JSON.parse(data);
    const known = isObject(message) && Object.hasOwn(SHAPES, message.type) && SHAPES[message.type](message);
    return known ? /** @type {InMessage} */ (/** @type {unknown} */ (message)) : null;
  } catch {
    return null;
  }
}

/** What the close codes say, if the error before them was lost. */
export const CLOSE_CODES = new Map([
  [4400, 'bad_message'],
  [4401, 'unauthorized'],
  [4403, 'forbidden'],
  [4404, 'resume_failed'],
  [4409, 'replaced'],
  [4413, 'too_large'],
  [4423, 'room_locked'],
  [4430, 'slow_consumer'],
  [4431, 'room_full'],
]);
/** Trying again would only repeat these. */
export const FINAL = new Set(['bad_message', 'unauthorized', 'forbidden', 'replaced', 'too_large', 'room_locked', 'room_full']);
/** After these the next `hello` begins a new session. */
export const SESSION_OVER = new Set(['resume_failed', 'slow_consumer']);
