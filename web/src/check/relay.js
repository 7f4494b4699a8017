// What is told about each STUN and TURN URL, and about the network in between. Pure.

import { failed, notApplicable, ok } from './finding.js';

/** @import { Facts, Finding, Message } from './finding.js' */
/** @import { Gathered, IceError, Mapping } from './gather.js' */
/** @import { IceUrl } from './ice_url.js' */
/** @import { TextKey } from '../texts/texts.js' */

/** The browser's own code for “no connection”; all others are the server's (RFC 8489, RFC 8656). */
const UNREACHABLE = 701;
/** A gathering that ended sooner than this, and without an error, had its answers; in milliseconds. */
const QUICK_MS = 5000;

/** @type {Record<number, {text: TextKey, advice: TextKey}>} */
const REFUSALS = {
  300: { text: 'check.relay_elsewhere', advice: 'check.relay_elsewhere_do' },
  400: { text: 'check.relay_misunderstood', advice: 'check.tell_admin' },
  401: { text: 'check.relay_unauthorized', advice: 'check.relay_unauthorized_do' },
  403: { text: 'check.relay_forbidden', advice: 'check.tell_admin' },
  437: { text: 'check.relay_mismatch', advice: 'check.again_do' },
  438: { text: 'check.relay_stale', advice: 'check.tell_admin' },
  441: { text: 'check.relay_mismatch', advice: 'check.again_do' },
  486: { text: 'check.relay_quota', advice: 'check.relay_quota_do' },
  500: { text: 'check.relay_error', advice: 'check.tell_admin' },
  508: { text: 'check.relay_full', advice: 'check.relay_full_do' },
};

/** @type {Record<IceUrl['transport'], {text: TextKey, advice: TextKey}>} */
const SILENCES = {
  udp: { text: 'check.no_answer_udp', advice: 'check.no_answer_udp_do' },
  tcp: { text: 'check.no_answer_tcp', advice: 'check.no_answer_tcp_do' },
  tls: { text: 'check.no_answer_tls', advice: 'check.no_answer_tls_do' },
};

/**
 * @param {IceUrl} url
 * @param {Gathered} gathered with this URL alone
 * @param {boolean} expired whether the credentials have ended by the server's own clock
 * @returns {Finding}
 */
export function explainUrl({ kind, transport }, gathered, expired) {
  const { ms, families, completed, waitedMs, thrown } = gathered;
  const facts = urlFacts(transport, gathered);
  if (thrown !== null) return notApplicable({ key: 'check.url_unsupported' }, facts);
  if (ms !== null) {
    if (families.length === 0) return ok({ key: 'check.answers', values: { ms } }, facts);
    return ok({ key: 'check.answers_over', values: { ms, families: families.join(', ') } }, facts);
  }
  const error = mostTelling(gathered.errors);
  if (!error && kind === 'stun' && completed && waitedMs < QUICK_MS) return ok({ key: 'check.no_translation' }, facts);
  return trouble(error, transport, expired, facts);
}

/**
 * @param {IceUrl['transport']} transport
 * @param {Gathered} gathered
 * @returns {Facts}
 */
function urlFacts(transport, { ms, waitedMs, completed, families, relayed, mappings, errors, thrown }) {
  return {
    transport,
    ms,
    waited_ms: waitedMs,
    completed,
    families,
    relayed,
    mapped: mappings.map(({ mapped }) => mapped),
    errors: errors.map(({ code, text, family }) => [code, text, family].filter(Boolean).join(' ')),
    thrown,
  };
}

/**
 * @param {IceError | null} error
 * @param {IceUrl['transport']} transport
 * @param {boolean} expired
 * @param {Facts} facts
 * @returns {Finding}
 */
function trouble(error, transport, expired, facts) {
  const [text, advice] = reason(error, transport, expired);
  return failed(text, advice, facts);
}

/**
 * @param {IceError | null} error
 * @param {IceUrl['transport']} transport
 * @param {boolean} expired
 * @returns {[Message, Message]}
 */
function reason(error, transport, expired) {
  if (error && error.code !== UNREACHABLE) {
    if (error.code === 401 && expired) return [{ key: 'check.credentials_expired' }, { key: 'check.credentials_expired_do' }];
    const known = REFUSALS[error.code];
    if (known) return [{ key: known.text }, { key: known.advice }];
    return [{ key: 'check.relay_refused', values: { code: error.code, text: error.text } }, { key: 'check.tell_admin' }];
  }
  if (error && /lookup/i.test(error.text)) return [{ key: 'check.name_unknown' }, { key: 'check.name_unknown_do' }];
  const silence = SILENCES[transport];
  return [{ key: silence.text }, { key: silence.advice }];
}

/**
 * What a server said weighs more than that some interface had no way to it.
 * @param {IceError[]} errors
 * @returns {IceError | null}
 */
function mostTelling(errors) {
  return errors.find(({ code }) => code !== UNREACHABLE) ?? errors[0] ?? null;
}

/**
 * Whether the network gives a socket the same outside address towards different servers (RFC 4787, section 4.1):
 * only then can two people behind such networks meet without a relay.
 * @param {number} destinations different servers asked over UDP
 * @param {Gathered | null} gathered from all of them at once; null: not asked
 * @returns {Finding}
 */
export function explainNat(destinations, gathered) {
  if (destinations < 2 || gathered === null) return notApplicable({ key: 'check.nat_unknown' }, { destinations });
  const { mappings, errors, completed, ms } = gathered;
  const facts = { destinations, completed, mapped: mappings.map(({ mapped, type }) => `${type} ${mapped}`) };
  if (mappings.length === 0 && ms === null && !(completed && errors.length === 0)) {
    return notApplicable({ key: 'check.nat_no_udp' }, facts);
  }
  if (differs(mappings)) return failed({ key: 'check.nat_differs' }, { key: 'check.nat_differs_do' }, facts);
  if (!completed || errors.length > 0) return notApplicable({ key: 'check.nat_unknown' }, facts);
  return ok({ key: mappings.length === 0 ? 'check.no_translation' : 'check.nat_same' }, facts);
}

/**
 * Whether one local socket was seen under two addresses of one family.
 * @param {Mapping[]} mappings
 */
function differs(mappings) {
  const sockets = new Set(mappings.flatMap(({ local }) => local || []));
  /** @type {Map<string, string>} */
  const seen = new Map();
  for (const { family, mapped, local } of mappings) {
    // With several sockets, one that is hidden cannot be told apart from them.
    if (sockets.size > 1 && local === '') continue;
    const socket = `${family} ${sockets.size > 1 ? local : ''}`;
    const before = seen.get(socket);
    if (before !== undefined && before !== mapped) return true;
    seen.set(socket, mapped);
  }
  return false;
}
