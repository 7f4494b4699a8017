// What is told about this page, the way to the server, its clock and its credentials. Pure.

import { failed, notApplicable, ok } from './finding.js';

/** @import { IceServer } from '../protocol/types.js' */
/** @import { Finding } from './finding.js' */
/** @import { DoorOutcome } from './door.js' */

/** A clock further off than this makes certificates look expired or not yet valid, in milliseconds. */
const CLOCK_TOLERANCE_MS = 5 * 60_000;
/** Credentials that end sooner than this may end before the call has begun, in seconds. */
const SHORTEST_LIFE_S = 20;
/** The refusal that means that the server waited for our first word in vain. */
export const UNHEARD_CODE = 'hello_timeout';
/** Refusals that mean that one needs an invitation. */
const INVITATION_CODES = ['unauthorized', 'forbidden'];
/** Refusals that mean that the server has no room at the moment. */
const BUSY_CODES = ['rate_limited', 'draining', 'room_full'];

/**
 * @param {{secure: boolean, webrtc: boolean, origin: string}} page
 * @returns {Finding}
 */
export function explainPage({ secure, webrtc, origin }) {
  const facts = { secure, webrtc, origin };
  if (!webrtc) return failed({ key: 'check.no_webrtc' }, { key: 'check.no_webrtc_do' }, facts);
  if (!secure) return failed({ key: 'check.insecure' }, { key: 'check.insecure_do' }, facts);
  return ok({ key: 'check.secure' }, facts);
}

/**
 * @param {DoorOutcome} outcome
 * @returns {Finding}
 */
export function explainSocket(outcome) {
  const { ms } = outcome;
  switch (outcome.kind) {
    case 'welcome':
      return ok({ key: 'check.socket_ok', values: { ms } }, { kind: 'welcome', ms });
    case 'refused':
      return refusal(outcome.code, ms);
    case 'silent':
      return failed({ key: 'check.socket_silent' }, { key: 'check.socket_do' }, { kind: 'silent', ms });
    case 'closed': {
      const { pageAnswers, closeCode } = outcome;
      const facts = { kind: 'closed', ms, pageAnswers, closeCode };
      if (pageAnswers) return failed({ key: 'check.socket_blocked' }, { key: 'check.socket_blocked_do' }, facts);
      return failed({ key: 'check.server_away' }, { key: 'check.server_away_do' }, facts);
    }
  }
}

/**
 * The way to the server works; it just did not let us in.
 * @param {string} code
 * @param {number} ms
 */
function refusal(code, ms) {
  const facts = { kind: 'refused', code, ms };
  if (INVITATION_CODES.includes(code)) return ok({ key: 'check.invited_only' }, facts, { key: 'check.invited_only_do' });
  if (code === UNHEARD_CODE) return failed({ key: 'check.socket_unheard' }, { key: 'check.socket_do' }, facts);
  if (BUSY_CODES.includes(code)) return failed({ key: 'check.busy' }, { key: 'check.busy_do' }, facts);
  return failed({ key: 'check.refused', values: { code } }, { key: 'check.tell_admin' }, facts);
}

/**
 * @param {number | null} aheadMs how far this computer's clock is ahead of the server's; null: the server did not tell
 * @returns {Finding}
 */
export function explainClock(aheadMs) {
  if (aheadMs === null) return notApplicable({ key: 'check.clock_unknown' });
  const facts = { ahead_s: Math.round(aheadMs / 1000) };
  if (Math.abs(aheadMs) <= CLOCK_TOLERANCE_MS) return ok({ key: 'check.clock_ok' }, facts);
  const values = { minutes: Math.round(Math.abs(aheadMs) / 60_000) };
  const key = aheadMs > 0 ? 'check.clock_fast' : 'check.clock_slow';
  return failed({ key, values }, { key: 'check.clock_do' }, facts);
}

/**
 * How long the relay's credentials are good for, by the server's own clock.
 * @param {IceServer[] | null} servers null: there was no welcome to bring them
 * @param {number} serverNow milliseconds since 1970
 * @returns {Finding}
 */
export function explainCredentials(servers, serverNow) {
  if (servers === null) return notApplicable({ key: 'check.not_reached' });
  const ends = servers.flatMap(({ expires_at: end }) => end ?? []);
  if (ends.length === 0) return notApplicable({ key: 'check.no_credentials' });
  const lifeS = Math.round(Math.min(...ends) - serverNow / 1000);
  const facts = { life_s: lifeS };
  if (lifeS <= 0) return failed({ key: 'check.credentials_expired' }, { key: 'check.credentials_expired_do' }, facts);
  if (lifeS < SHORTEST_LIFE_S) {
    return failed({ key: 'check.credentials_short', values: { seconds: lifeS } }, { key: 'check.credentials_expired_do' }, facts);
  }
  return ok({ key: 'check.credentials_ok', values: { minutes: Math.max(1, Math.round(lifeS / 60)) } }, facts);
}
