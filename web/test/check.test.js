import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Check, targetsOf } from '../src/check/check.js';
import { knock } from '../src/check/door.js';
import { GATHER_LIMIT_MS, gather } from '../src/check/gather.js';
import { report } from '../src/check/report.js';
import { failed, ok } from '../src/check/finding.js';
import { verdict } from '../src/check/verdict.js';
import { fakeGathering, fakeSocket, reflexiveCandidate, relayCandidate } from '../testing/check.js';
import { FakeClock } from '../testing/random.js';

/** @import { Row } from '../src/check/finding.js' */

const SECRET = 'c3VwZXJzZWNyZXQ=';
const USER = '1700000600:peer';
const SERVERS = [
  { urls: ['stun:relay.example'] },
  { urls: ['turn:relay.example?transport=udp', 'turn:relay.example?transport=tcp'], username: USER, credential: SECRET, expires_at: 600 },
];
const WELCOME = { type: 'welcome', peer: 'p', ice_servers: SERVERS };

/** Lets everything go on that waits for nothing but its turn. */
const turns = () => new Promise((resolve) => setImmediate(resolve));

/**
 * @param {object} options
 * @param {Parameters<typeof fakeGathering>[0]} options.ice
 * @param {Parameters<typeof fakeSocket>[0]} [options.socket]
 * @param {() => Promise<number | null>} [options.serverTime]
 */
async function run({ ice, socket = { frames: [WELCOME] }, serverTime = async () => 0 }) {
  const clock = new FakeClock();
  const { createConnection, opened } = fakeGathering(ice);
  const sockets = /** @type {any[]} */ ([]);
  const check = new Check({
    connect: () => sockets[sockets.push(fakeSocket(socket)) - 1],
    newRoom: () => 'unguessable',
    serverTime,
    createConnection,
    page: { secure: true, origin: 'https://call.example' },
    clock,
    onChange: () => {},
  });
  let ended = false;
  void check.start().then(() => {
    ended = true;
  });
  for (let n = 0; !ended; n += 1) {
    assert.ok(n < 200, 'it comes to an end');
    await turns();
    clock.advance(500);
  }
  const states = Object.fromEntries(check.rows.map(({ id, finding }) => [id, finding.state]));
  const texts = Object.fromEntries(check.rows.map(({ id, finding }) => [id, finding.text?.key]));
  return { check, states, texts, opened, socket: sockets[0] };
}

test('a dead relay: each of its ways is tried alone, explained, and the verdict says what it means', async () => {
  const { check, texts, states, opened, socket } = await run({ ice: () => ({ completes: false }) });
  assert.deepEqual(socket.sent.map((/** @type {any} */ { type }) => type), ['hello', 'bye']);
  assert.equal(texts['ice:stun:relay.example'], 'check.no_answer_udp');
  assert.equal(texts['ice:turn:relay.example?transport=udp'], 'check.no_answer_udp');
  assert.equal(texts['ice:turn:relay.example?transport=tcp'], 'check.no_answer_tcp');
  assert.equal(states.loopback, 'not_applicable');
  assert.equal(states.camera, 'pending');
  for (const { configuration, closed } of opened) {
    assert.equal(configuration.iceServers?.length, 1);
    assert.ok(closed, 'nothing is left open');
  }
  assert.deepEqual(
    [check.verdict.level, check.verdict.text.key, check.verdict.advice?.key],
    ['limited', 'check.relay_dead', 'check.no_answer_udp_do'],
  );
});

test('a relay that does not take our password', async () => {
  const errors = [{ errorCode: 401, errorText: 'Unauthorized.', address: '0.0.0.x', url: 'turn:relay.example' }];
  const { check, texts } = await run({
    ice: ({ iceTransportPolicy }) => (iceTransportPolicy === 'relay' ? { errors } : { candidates: [reflexiveCandidate('203.0.113.1', 4000)] }),
  });
  assert.equal(texts['ice:stun:relay.example'], 'check.answers_over');
  assert.equal(texts['ice:turn:relay.example?transport=udp'], 'check.relay_unauthorized');
  assert.equal(check.verdict.advice?.key, 'check.relay_unauthorized_do');
});

test('a password that had expired by the server’s own clock', async () => {
  const errors = [{ errorCode: 401, errorText: 'Unauthorized.', url: '' }];
  const { texts, check } = await run({ ice: () => ({ errors }), serverTime: async () => 700_000 });
  assert.equal(texts.credentials, 'check.credentials_expired');
  assert.equal(texts['ice:turn:relay.example?transport=udp'], 'check.credentials_expired');
  assert.equal(check.verdict.advice?.key, 'check.credentials_expired_do');
});

test('without an answer nothing else is tried', async () => {
  const away = await run({ ice: () => ({}), socket: { closes: 1006 }, serverTime: () => Promise.reject(new Error('away')) });
  assert.deepEqual([away.check.verdict.level, away.texts.socket, away.opened.length], ['bad', 'check.server_away', 0]);
  const blocked = await run({ ice: () => ({}), socket: { closes: 1006 } });
  assert.equal(blocked.texts.socket, 'check.socket_blocked');
  const invited = await run({ ice: () => ({}), socket: { frames: [{ type: 'error', code: 'unauthorized', message: '' }] } });
  assert.deepEqual([invited.check.verdict.level, invited.check.verdict.text.key], ['limited', 'check.invited_only']);
});

test('the report has every finding and no password', async () => {
  const { check } = await run({ ice: () => ({ errors: [{ errorCode: 401, errorText: 'Unauthorized.', url: '' }] }) });
  const written = report({ rows: check.rows, verdict: check.verdict, origin: 'https://call.example', browser: 'Test/1', at: 0 });
  const text = JSON.stringify(written);
  assert.equal(written.checks.length, check.rows.length);
  assert.ok(text.includes('does not take the password'));
  assert.ok(!text.includes(SECRET) && !text.includes(USER), text);
});

test('a second run keeps what was found about devices and forgets the rest', async () => {
  const { check } = await run({ ice: () => ({}) });
  check.set('camera', ok({ key: 'check.camera_ok', values: { width: 1, height: 1 } }));
  void check.start();
  const state = (/** @type {string} */ id) => check.rows.find((row) => row.id === id)?.finding.state;
  assert.deepEqual([state('camera'), state('socket'), check.verdict.level], ['ok', 'pending', 'running']);
});

test('a run that nobody waits for any more ends, opens nothing else and leaves nothing open', async () => {
  const clock = new FakeClock();
  const { createConnection, opened } = fakeGathering(() => ({ completes: false }));
  const socket = fakeSocket({ frames: [WELCOME] });
  let changes = 0;
  const check = new Check({
    connect: () => socket,
    newRoom: () => 'unguessable',
    serverTime: async () => 0,
    createConnection,
    page: { secure: true, origin: 'https://call.example' },
    clock,
    onChange: () => (changes += 1),
  });
  const ended = check.start();
  for (let n = 0; opened.length === 0; n += 1) {
    assert.ok(n < 200);
    await turns();
  }
  const count = opened.length;
  const before = changes;
  check.close();
  assert.deepEqual([opened.map(({ closed }) => closed), socket.closed], [Array(count).fill(true), true]);
  clock.advance(GATHER_LIMIT_MS);
  await ended;
  assert.deepEqual([opened.length, changes, check.done, clock.pending], [count, before, false, []]);
});

test('a server that never speaks is given up', async () => {
  const clock = new FakeClock();
  const socket = fakeSocket({});
  const outcome = knock({ connect: () => socket, room: 'x', fetchPage: async () => {}, clock });
  await turns();
  clock.advance(60_000);
  assert.deepEqual([(await outcome).kind, socket.closed], ['silent', true]);
});

test('who was too busy to say hello is heard at the second try', async () => {
  const unheard = { type: 'error', code: 'hello_timeout', message: '' };
  const knocking = (/** @type {object[][]} */ ...answers) => {
    const connect = () => fakeSocket({ frames: answers.shift() ?? assert.fail('one more knock than planned') });
    return knock({ connect, room: 'x', fetchPage: async () => {}, clock: new FakeClock() });
  };
  assert.equal((await knocking([unheard], [WELCOME])).kind, 'welcome');
  const lost = knock({ connect: () => fakeSocket({ closes: 4408 }), room: 'x', fetchPage: async () => {}, clock: new FakeClock() });
  assert.equal((await lost).kind, 'refused', 'the same without the error before it');
  const never = await knocking([unheard], [unheard]);
  assert.deepEqual([never.kind, 'code' in never && never.code], ['refused', 'hello_timeout']);
});

test('gathering waits for the other family after the first answer, and not for ever', async () => {
  const clock = new FakeClock();
  const { createConnection } = fakeGathering(() => ({ candidates: [relayCandidate('turn:a')], completes: false }));
  const one = gather({ createConnection, servers: [], relayOnly: true, clock });
  await turns();
  clock.advance(GATHER_LIMIT_MS / 2);
  const found = await one;
  assert.deepEqual([found.families, found.relayed, found.ms, found.mappings], [['IPv4'], ['203.0.113.9:50000'], 0, []]);
  const patient = gather({ createConnection, servers: [], relayOnly: true, patient: true, clock });
  await turns();
  clock.advance(GATHER_LIMIT_MS);
  assert.equal((await patient).completed, false);
  assert.deepEqual(clock.pending, []);
});

test('a browser that takes no such URL says so', async () => {
  const { createConnection } = fakeGathering(() => ({ throws: 'SyntaxError' }));
  assert.match((await gather({ createConnection, servers: [], relayOnly: true, clock: new FakeClock() })).thrown ?? '', /SyntaxError/);
});

test('each URL is one target, whatever the server says', () => {
  const odd = /** @type {any} */ ([{ urls: 'turn:a' }, { urls: ['turn:a', 'http://b', 7] }, {}]);
  assert.deepEqual(targetsOf(odd).map(({ parsed }) => parsed.url), ['turn:a']);
});

/** @param {Record<string, import('../src/check/finding.js').Finding>} findings @returns {Row[]} */
function rows(findings) {
  return Object.entries(findings).map(([id, finding]) => ({ id, group: 'relay', title: { key: 'check.page' }, finding }));
}

test('the verdict', () => {
  const good = ok({ key: 'check.answers', values: { ms: 1 } }, { transport: 'udp' });
  const bad = failed({ key: 'check.no_answer_udp' }, { key: 'check.no_answer_udp_do' }, { transport: 'udp' });
  const tcp = ok({ key: 'check.answers', values: { ms: 1 } }, { transport: 'tcp' });
  const of = (/** @type {Parameters<typeof rows>[0]} */ findings) => {
    const { level, text } = verdict(rows({ page: good, socket: good, ...findings }), true);
    return [level, text.key];
  };
  assert.deepEqual(verdict([], false).level, 'running');
  assert.deepEqual(of({ 'ice:turn:a': good, loopback: good }), ['good', 'check.good_more']);
  assert.deepEqual(of({ 'ice:turn:a': good, 'ice:turn:b': bad, loopback: good }), ['good', 'check.good_but']);
  assert.deepEqual(of({ 'ice:turn:a': bad, 'ice:turn:b': tcp, loopback: good }), ['limited', 'check.without_udp']);
  assert.deepEqual(of({ 'ice:turn:a': bad }), ['limited', 'check.relay_dead']);
  assert.deepEqual(of({}), ['limited', 'check.without_relay']);
  // A NAT that needs the relay is no trouble while the relay works.
  assert.deepEqual(of({ 'ice:turn:a': good, nat: bad, loopback: good }), ['good', 'check.good_more']);
  assert.deepEqual(of({ 'ice:turn:a': good, loopback: bad }), ['limited', 'check.no_answer_udp']);
  assert.deepEqual(of({ 'ice:turn:a': good, camera: bad }), ['limited', 'check.no_answer_udp']);
  assert.deepEqual(of({ socket: bad }), ['bad', 'check.no_answer_udp']);
});
