// What the page calls the messages of `signal.v1`, and its clock. The messages themselves are in messages.d.ts, generated
// from the server's types; docs/signaling-protocol.md explains them.

/** @import { ClientMessage, ServerMessage } from './messages.js' */

/**
 * @typedef {import('./messages.js').Role} Role
 * @typedef {import('./messages.js').Peer} PeerInfo
 * @typedef {import('./messages.js').IceServer} IceServer
 * @typedef {import('./messages.js').ModerateAction} ModerateAction
 */

/**
 * Each of a union without the fields that the signaling client writes itself.
 * @template Message
 * @template {PropertyKey} Key
 * @typedef {Message extends unknown ? Omit<Message, Key> : never} Without
 */

/**
 * Client to server. The signaling client adds `id` itself, and `resume` to `hello`.
 * @typedef {Without<Extract<ClientMessage, {type: 'hello'}>, 'resume'>} Hello
 * @typedef {Without<Extract<ClientMessage, {id: number}>, 'id'>} OutMessage
 * @typedef {Without<Extract<OutMessage, {type: 'signal'}>, 'type' | 'to'>} SignalBody
 */

/**
 * Server to client.
 * @typedef {ServerMessage} InMessage
 * @typedef {Extract<ServerMessage, {type: 'welcome'}>} Welcome
 * @typedef {Extract<ServerMessage, {type: 'event'}>} InEvent
 * @typedef {Extract<ServerMessage, {type: 'peer_left'}>} PeerLeft
 */

/**
 * Time and chance are arguments, so that tests decide both. Milliseconds.
 * @typedef {object} Clock
 * @property {() => number} now
 * @property {(callback: () => void, delay: number) => number} setTimeout
 * @property {(timer: number) => void} clearTimeout
 */

/** @type {Clock} */
export const systemClock = {
  now: () => Date.now(),
  setTimeout: (callback, delay) => /** @type {number} */ (/** @type {unknown} */ (setTimeout(callback, delay))),
  clearTimeout: (timer) => clearTimeout(timer),
};
