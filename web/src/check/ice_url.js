// STUN and TURN URLs (RFC 7064, RFC 7065). Pure.

/**
 * @typedef {object} IceUrl
 * @property {string} url as it was given
 * @property {'stun' | 'turn'} kind
 * @property {'udp' | 'tcp' | 'tls'} transport between the browser and the server
 * @property {'IPv4' | 'IPv6' | null} family null for a name, which may have addresses of either
 * @property {string} destination host and port: two URLs with the same are the same server
 */

/**
 * @param {string} url
 * @returns {IceUrl | null} null when it is none
 */
export function parseIceUrl(url) {
  const match = /^(stun|turn)(s?):(\[[0-9a-f:.]+\]|[^\s:?/[\]]+)(?::(\d{1,5}))?(?:\?transport=(udp|tcp))?$/i.exec(url);
  if (!match) return null;
  const [, kind, secure, host, port, wanted] = match.map((part) => part?.toLowerCase());
  const transport = secure ? 'tls' : wanted === 'tcp' ? 'tcp' : 'udp';
  return {
    url,
    kind: kind === 'turn' ? 'turn' : 'stun',
    transport,
    family: host.startsWith('[') ? 'IPv6' : /^\d+\.\d+\.\d+\.\d+$/.test(host) ? 'IPv4' : null,
    destination: `${host}:${port ?? (secure ? 5349 : 3478)}`,
  };
}

/**
 * Whether an address that a browser tells is of IPv6; it may be in brackets, and parts of it hidden: `0.0.0.x`.
 * @param {string} address
 */
export function familyOf(address) {
  return address.includes(':') ? 'IPv6' : 'IPv4';
}
