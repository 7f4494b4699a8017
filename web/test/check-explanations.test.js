import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PENDING } from '../src/check/finding.js';
import { explainFamily } from '../src/check/family.js';
import { explainCamera, explainDeviceProblem, explainLoopback, explainMicrophone, explainSpeaker } from '../src/check/media.js';
import { explainNat, explainUrl } from '../src/check/relay.js';
import { explainClock, explainCredentials, explainPage, explainSocket } from '../src/check/server.js';
import { parseIceUrl } from '../src/check/ice_url.js';
import { enCheck } from '../src/texts/en-check.js';
import { en } from '../src/texts/en.js';
import { koCheck } from '../src/texts/ko-check.js';
import { ko } from '../src/texts/ko.js';

/** @import { Finding } from '../src/check/finding.js' */
/** @import { Gathered } from '../src/check/gather.js' */

/**
 * A finding says what happened, in every language, with all its gaps filled; trouble also says what to do.
 * @param {Finding} finding
 * @param {string} state
 * @param {string} key
 */
function says(finding, state, key) {
  assert.equal(finding.state, state, JSON.stringify(finding));
  assert.equal(finding.text?.key, key);
  for (const message of [finding.text, finding.advice]) {
    if (!message) continue;
    for (const catalog of [{ ...en, ...enCheck }, { ...ko, ...koCheck }]) {
      const gaps = [...catalog[message.key].matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      for (const gap of gaps) assert.notEqual(message.values?.[gap], undefined, `${message.key} ${gap}`);
    }
  }
  const explainsItself = finding.text?.key.startsWith('problem.');
  if (state === 'failed' && !explainsItself) assert.ok(finding.advice, `${key} says what to do`);
}

test('an insecure page and a browser without WebRTC are told apart', () => {
  const origin = 'http://call.example';
  says(explainPage({ secure: true, webrtc: true, origin }), 'ok', 'check.secure');
  says(explainPage({ secure: false, webrtc: true, origin }), 'failed', 'check.insecure');
  says(explainPage({ secure: false, webrtc: false, origin }), 'failed', 'check.no_webrtc');
});

test('the server out of reach, a blocked WebSocket, silence and each refusal have words of their own', () => {
  const ms = 5;
  says(explainSocket({ kind: 'welcome', ms, iceServers: [] }), 'ok', 'check.socket_ok');
  says(explainSocket({ kind: 'silent', ms }), 'failed', 'check.socket_silent');
  says(explainSocket({ kind: 'refused', code: 'hello_timeout', ms }), 'failed', 'check.socket_unheard');
  says(explainSocket({ kind: 'closed', ms, closeCode: 1006, pageAnswers: true }), 'failed', 'check.socket_blocked');
  says(explainSocket({ kind: 'closed', ms, closeCode: 1006, pageAnswers: false }), 'failed', 'check.server_away');
  says(explainSocket({ kind: 'refused', ms, code: 'unauthorized' }), 'ok', 'check.invited_only');
  says(explainSocket({ kind: 'refused', ms, code: 'rate_limited' }), 'failed', 'check.busy');
  says(explainSocket({ kind: 'refused', ms, code: 'bad_message' }), 'failed', 'check.refused');
});

test('a clock may be off by minutes, not more', () => {
  says(explainClock(null), 'not_applicable', 'check.clock_unknown');
  says(explainClock(-4 * 60_000), 'ok', 'check.clock_ok');
  says(explainClock(11 * 60_000), 'failed', 'check.clock_fast');
  says(explainClock(-11 * 60_000), 'failed', 'check.clock_slow');
  assert.equal(explainClock(11 * 60_000).text?.values?.minutes, 11);
});

test('a password for the relay is judged by the server’s own clock', () => {
  const now = 1_000_000_000;
  const ending = (/** @type {number} */ seconds) => [{ urls: ['turn:a'], expires_at: now / 1000 + seconds }];
  says(explainCredentials(ending(600), now), 'ok', 'check.credentials_ok');
  says(explainCredentials(ending(10), now), 'failed', 'check.credentials_short');
  says(explainCredentials(ending(-1), now), 'failed', 'check.credentials_expired');
  says(explainCredentials([{ urls: ['stun:a'] }], now), 'not_applicable', 'check.no_credentials');
  says(explainCredentials(null, now), 'not_applicable', 'check.not_reached');
});

test('STUN and TURN URLs are read', () => {
  const read = (/** @type {string} */ url) => {
    const parsed = parseIceUrl(url);
    return parsed && [parsed.kind, parsed.transport, parsed.destination];
  };
  assert.deepEqual(read('stun:a.example'), ['stun', 'udp', 'a.example:3478']);
  assert.deepEqual(read('TURN:A.example:99?transport=TCP'), ['turn', 'tcp', 'a.example:99']);
  assert.deepEqual(read('turns:a.example?transport=tcp'), ['turn', 'tls', 'a.example:5349']);
  assert.deepEqual(read('turn:[2001:db8::1]:443?transport=udp'), ['turn', 'udp', '[2001:db8::1]:443']);
  for (const bad of ['', 'turn:', 'http://a', 'turn:a?transport=sctp', 'turn:a b', 'turn:a:123456']) assert.equal(read(bad), null, bad);
});

/** @param {Partial<Gathered>} [more] @returns {Gathered} */
function gathered(more) {
  return { ms: null, waitedMs: 8000, completed: false, families: [], relayed: [], mappings: [], errors: [], thrown: null, ...more };
}

/** @param {number} code @param {string} [text] */
const error = (code, text = '') => ({ code, text, family: 'IPv4', url: 'turn:a' });

/** @param {string} url @param {Partial<Gathered>} more @param {boolean} [expired] */
function explained(url, more, expired = false) {
  const parsed = parseIceUrl(url);
  assert.ok(parsed);
  return explainUrl(parsed, gathered(more), expired);
}

test('an answer is one, with its address families', () => {
  const finding = explained('turn:a', { ms: 12, families: ['IPv4', 'IPv6'], errors: [error(701)] });
  says(finding, 'ok', 'check.answers_over');
  assert.equal(finding.text?.values?.families, 'IPv4, IPv6');
  says(explained('turn:a', { ms: 12 }), 'ok', 'check.answers');
});

test('each refusal of a relay has words of its own', () => {
  const refusals = /** @type {const} */ ({
    300: 'check.relay_elsewhere',
    400: 'check.relay_misunderstood',
    401: 'check.relay_unauthorized',
    403: 'check.relay_forbidden',
    437: 'check.relay_mismatch',
    438: 'check.relay_stale',
    486: 'check.relay_quota',
    500: 'check.relay_error',
    508: 'check.relay_full',
    599: 'check.relay_refused',
  });
  for (const [code, key] of Object.entries(refusals)) {
    says(explained('turn:a', { completed: true, errors: [error(701, 'no route'), error(Number(code))] }), 'failed', key);
  }
});

test('an expired password is not taken for a wrong one', () => {
  says(explained('turn:a', { errors: [error(401)] }, true), 'failed', 'check.credentials_expired');
});

test('silence is explained for each transport', () => {
  says(explained('turn:a', {}), 'failed', 'check.no_answer_udp');
  says(explained('stun:a', {}), 'failed', 'check.no_answer_udp');
  says(explained('turn:a?transport=tcp', { completed: true, errors: [error(701, 'Failed to establish connection')] }), 'failed', 'check.no_answer_tcp');
  // Chromium says nothing at all about ports that it does not connect to.
  says(explained('turn:a?transport=tcp', { completed: true, waitedMs: 100 }), 'failed', 'check.no_answer_tcp');
  says(explained('turns:a', { completed: true, errors: [error(701)] }), 'failed', 'check.no_answer_tls');
  says(explained('turn:a', { completed: true, errors: [error(701, 'TURN host lookup received error.')] }), 'failed', 'check.name_unknown');
  says(explained('turn:a', { thrown: 'SyntaxError' }), 'not_applicable', 'check.url_unsupported');
});

test('a STUN server that is done at once and has nothing new to tell has answered', () => {
  says(explained('stun:a', { completed: true, waitedMs: 100 }), 'ok', 'check.no_translation');
  says(explained('stun:a', { completed: true, waitedMs: 100, errors: [error(701)] }), 'failed', 'check.no_answer_udp');
});

/** @param {string} mapped @param {object} [more] */
const mapping = (mapped, more = {}) => ({ family: 'IPv4', mapped, type: 'srflx', local: '', ...more });

test('a NAT is judged by what several servers see of one socket', () => {
  const nat = (/** @type {Partial<Gathered>} */ more) => explainNat(2, gathered({ completed: true, ms: 5, ...more }));
  const one = mapping('203.0.113.1:4000');
  says(nat({ mappings: [one] }), 'ok', 'check.nat_same');
  says(nat({ mappings: [one, mapping('203.0.113.1:4000', { type: 'relay' })] }), 'ok', 'check.nat_same');
  says(nat({ mappings: [one, mapping('[2001:db8::1]:7', { family: 'IPv6' })] }), 'ok', 'check.nat_same');
  says(nat({ mappings: [one, mapping('203.0.113.1:4001')] }), 'failed', 'check.nat_differs');
  says(nat({ mappings: [one, mapping('203.0.113.1:4001', { type: 'relay' })] }), 'failed', 'check.nat_differs');
  // Two network cards, each with its own address outside.
  const cards = [mapping('203.0.113.1:4000', { local: '10.0.0.1:1' }), mapping('198.51.100.1:9', { local: '10.1.0.1:2' })];
  says(nat({ mappings: cards }), 'ok', 'check.nat_same');
  says(nat({ mappings: [...cards, mapping('198.51.100.1:10', { local: '10.1.0.1:2' })] }), 'failed', 'check.nat_differs');
  says(nat({ mappings: [], ms: null }), 'ok', 'check.no_translation');
  says(nat({ mappings: [one], errors: [error(701)] }), 'not_applicable', 'check.nat_unknown');
  says(nat({ ms: null, completed: false }), 'not_applicable', 'check.nat_no_udp');
  says(explainNat(1, null), 'not_applicable', 'check.nat_unknown');
});

test('the way through the relay is judged by loss, time and width', () => {
  const good = /** @type {const} */ ({ connected: true, protocol: 'udp', roundTripMs: 30, sent: 200, received: 200, bitsPerSecond: 9e6 });
  says(explainLoopback(good), 'ok', 'check.loop_ok');
  says(explainLoopback({ ...good, received: 190 }), 'failed', 'check.loop_lossy');
  says(explainLoopback({ ...good, roundTripMs: 900 }), 'failed', 'check.loop_slow');
  says(explainLoopback({ ...good, bitsPerSecond: 2e5 }), 'failed', 'check.loop_narrow');
  says(explainLoopback({ connected: false, reason: 'Error: x', addresses: 2 }), 'failed', 'check.loop_failed');
  says(explainLoopback({ connected: false, reason: 'Error: x', addresses: 1 }), 'failed', 'check.loop_no_address');
  says(explainLoopback(null), 'not_applicable', 'check.loop_no_relay');
  assert.deepEqual(explainLoopback({ ...good, received: 199 }).text?.values, { ms: 30, percent: 0.5, megabits: 9 });
});

test('each device problem is explained, and what a device does when it works', () => {
  for (const problem of /** @type {const} */ (['insecure', 'denied', 'dismissed', 'not_found', 'in_use', 'failed'])) {
    says(explainDeviceProblem('camera', problem), 'failed', `problem.${problem}`);
    says(explainDeviceProblem('microphone', problem), 'failed', `problem.${problem}`);
  }
  says(explainCamera({ width: 640, height: 480, frames: 1, dark: false }), 'ok', 'check.camera_ok');
  says(explainCamera({ width: 640, height: 480, frames: 1, dark: true }), 'failed', 'check.camera_dark');
  says(explainCamera({ width: 0, height: 0, frames: 0, dark: true }), 'failed', 'check.camera_black');
  says(explainMicrophone(true), 'ok', 'check.microphone_ok');
  says(explainMicrophone(false), 'failed', 'check.microphone_silent');
  says(explainSpeaker(true), 'ok', 'check.speaker_ok');
  says(explainSpeaker(false), 'failed', 'check.speaker_silent');
  assert.equal(PENDING.text, null);
});

test('a family is reached when a server answers over it, whatever it answers', () => {
  const asked = (/** @type {string} */ url, /** @type {Partial<Gathered>} */ changes) => {
    const parsed = /** @type {import('../src/check/ice_url.js').IceUrl} */ (parseIceUrl(url));
    return [{ parsed, gathered: gathered(changes), ok: false }];
  };
  const refused = { code: 401, text: '', family: null, url: '' };
  const away = { code: 701, text: '', family: 'IPv6', url: '' };
  says(explainFamily('IPv6', asked('turn:relay.example', { families: ['IPv4', 'IPv6'] })), 'ok', 'check.family_ok');
  says(explainFamily('IPv6', asked('turn:[::1]:3478', { errors: [refused] })), 'ok', 'check.family_ok');
  says(explainFamily('IPv6', asked('turn:[::1]:3478', { errors: [away] })), 'failed', 'check.family_silent');
  // That a name has no address of a family is no trouble.
  says(explainFamily('IPv6', asked('turn:relay.example', { families: ['IPv4'] })), 'not_applicable', 'check.family_unknown');
  says(explainFamily('IPv6', asked('turn:192.0.2.1', { errors: [away] })), 'not_applicable', 'check.family_unknown');
  says(explainFamily('IPv4', asked('turn:192.0.2.1', { errors: [away] })), 'failed', 'check.family_silent');
});
