// What the server hands out, as browsers take it. Pure.

/** @import { IceServer } from '../protocol/types.js' */

/**
 * Without what only we understand.
 * @param {IceServer[]} servers
 * @returns {RTCIceServer[]}
 */
export function browserIceServers(servers) {
  return servers.map(({ urls, username, credential }) => ({ urls, ...(username && { username }), ...(credential && { credential }) }));
}
