// Over which versions of IP servers are reached. Pure.

import { failed, notApplicable, ok } from './finding.js';

/** @import { Finding } from './finding.js' */
/** @import { Gathered } from './gather.js' */
/** @import { IceUrl } from './ice_url.js' */

/** The browser's own code for “no connection”; all others are a server's, which was reached then. */
const UNREACHABLE = 701;

/**
 * What came of asking one URL alone; `ok`: what it offers can be used.
 * @typedef {{parsed: IceUrl, gathered: Gathered, ok: boolean}} Asked
 */

/**
 * Only a URL with an address in it asks for one family: a name may have addresses of either, and which were tried no
 * browser tells.
 * @param {'IPv4' | 'IPv6'} family
 * @param {Asked[]} asked
 * @returns {Finding}
 */
export function explainFamily(family, asked) {
  const reached = asked.filter((one) => reaches(one, family));
  const wanted = asked.filter(({ parsed }) => parsed.family === family);
  const facts = { urls: wanted.length, reached: reached.length };
  if (reached.length > 0) return ok({ key: 'check.family_ok', values: { family } }, facts);
  if (wanted.length > 0) return failed({ key: 'check.family_silent', values: { family } }, { key: 'check.family_silent_do', values: { family } }, facts);
  return notApplicable({ key: 'check.family_unknown', values: { family } }, facts);
}

/**
 * @param {Asked} asked
 * @param {'IPv4' | 'IPv6'} family
 */
function reaches({ parsed, gathered: { families, errors }, ok: usable }, family) {
  if (families.includes(family)) return true;
  return parsed.family === family && (usable || errors.some(({ code }) => code !== UNREACHABLE));
}
