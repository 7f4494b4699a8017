// What the server hands out, as browsers take it. Pure.

/** @import { IceServer } from '../protocol/types.js' */

/** What browsers understand (RFC 7064, RFC 7065). A URL that they do not would cost the whole connection. */
const URL_FORM = /^(stun|turn)s?:(\[[\da-f:.]+\]|[\w.-]+)(:\d{1,5})?(\?transport=(udp|tcp))?$/i;

/**
 * Without what only we understand, and what nobody does.
 * @param {IceServer[]} servers
 * @returns {RTCIceServer[]}
 */
export function browserIceServers(servers) {
  return servers.flatMap(({ urls, username, credential }) => {
    const good = [urls].flat().filter((url) => typeof url === 'string' && URL_FORM.test(url));
    // Without a password a browser takes no relay.
    const usable = username && credential ? good : good.filter((url) => url.startsWith('stun'));
    return usable.length === 0 ? [] : [{ urls: usable, ...(username && { username }), ...(credential && { credential }) }];
  });
}
