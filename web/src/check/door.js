// Knocks at the server: a WebSocket, `hello` for a room nobody knows, its `welcome`, and `bye`. No DOM.

import { parseObject } from '../call/echo.js';
import { UNHEARD_CODE } from './server.js';

/** @import { Clock, IceServer } from '../protocol/types.js' */
/** @import { Socket } from '../protocol/signaling.js' */

/** Code of the server's close after `hello_timeout`. */
const UNHEARD_CLOSE = 4408;
/** How long the server has for its answer, in milliseconds. */
const LIMIT_MS = 8000;

/**
 * `closed`: the connection failed or ended without a word; `pageAnswers` tells whether plain HTTP works.
 * @typedef {{kind: 'welcome', ms: number, iceServers: IceServer[]}
 *   | {kind: 'refused', ms: number, code: string}
 *   | {kind: 'silent', ms: number}
 *   | {kind: 'closed', ms: number, closeCode: number, pageAnswers: boolean}} DoorOutcome
 */

/**
 * @param {object} options
 * @param {() => Socket} options.connect
 * @param {string} options.room unguessable, so that nobody is in it
 * @param {() => Promise<unknown>} options.fetchPage rejects when plain HTTP does not work either
 * @param {Clock} options.clock
 * @returns {Promise<DoorOutcome>}
 */
export async function knock({ connect, room, fetchPage, clock }) {
  let outcome = await answer({ connect, room, clock });
  // A computer that was too busy to say anything in time gets another chance.
  if (outcome.kind === 'refused' && outcome.code === UNHEARD_CODE) outcome = await answer({ connect, room, clock });
  if (outcome.kind !== 'closed') return outcome;
  const pageAnswers = await fetchPage().then(() => true, () => false);
  return { ...outcome, pageAnswers };
}

/**
 * @param {{connect: () => Socket, room: string, clock: Clock}} options
 * @returns {Promise<DoorOutcome>}
 */
function answer({ connect, room, clock }) {
  const began = clock.now();
  return new Promise((resolve) => {
    const socket = connect();
    const ms = () => Math.round(clock.now() - began);
    const finish = (/** @type {DoorOutcome} */ outcome) => {
      clock.clearTimeout(timer);
      socket.onmessage = null;
      socket.onclose = null;
      resolve(outcome);
    };
    const timer = clock.setTimeout(() => {
      finish({ kind: 'silent', ms: ms() });
      socket.close();
    }, LIMIT_MS);
    socket.onopen = () => socket.send(JSON.stringify({ type: 'hello', room, role: 'participant' }));
    socket.onclose = ({ code }) => {
      // The error before it was lost.
      if (code === UNHEARD_CLOSE) finish({ kind: 'refused', ms: ms(), code: UNHEARD_CODE });
      else finish({ kind: 'closed', ms: ms(), closeCode: code, pageAnswers: false });
    };
    socket.onmessage = ({ data }) => {
      const message = parseObject(data);
      if (message?.type === 'welcome') {
        finish({ kind: 'welcome', ms: ms(), iceServers: iceServers(message.ice_servers) });
        socket.send(JSON.stringify({ type: 'bye' }));
        socket.close(1000);
      } else if (message?.type === 'error') {
        finish({ kind: 'refused', ms: ms(), code: String(message.code) });
        socket.close();
      }
    };
  });
}

/**
 * @param {unknown} value
 * @returns {IceServer[]}
 */
function iceServers(value) {
  return Array.isArray(value) ? value.filter((server) => server !== null && typeof server === 'object') : [];
}
