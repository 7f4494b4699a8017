import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Silence, readHeard } from '../src/call/silence.js';

/** @param {number} at @param {number} count @param {number | null} [lastAt] */
const heard = (at, count, lastAt = null, pair = 'P') => ({ pair, count, lastAt, at });

/** What a connection with a steady flow says. */
function steady() {
  const silence = new Silence();
  for (const second of [0, 1, 2, 3]) silence.look(heard(second * 1000, second * 5000));
  return silence;
}

test('silence is counted from the last packet', () => {
  const silence = steady();
  assert.equal(silence.look(heard(3500, 15_000)), 500);
  assert.equal(silence.look(heard(5000, 15_000)), 2000);
  assert.equal(silence.look(heard(5100, 15_001)), 0);
});

test('a browser that says when the last packet came is believed', () => {
  const silence = steady();
  assert.equal(silence.look(heard(4000, 20_000, 3400)), 600);
  assert.equal(silence.look(heard(5000, 20_000, 3400)), 1600);
});

test('a call without media hears something every few seconds only, and is not silent', () => {
  const silence = new Silence();
  for (let second = 0; second < 30; second += 1) {
    assert.ok(silence.look(heard(second * 1000, Math.floor(second / 2.5))) < silence.limitMs(false));
  }
  assert.ok(silence.look(heard(38_000, 11)) === 0, 'the program stood still');
  for (const second of [39, 40, 41, 42, 43, 44, 45, 46, 47]) silence.look(heard(second * 1000, 11));
  assert.ok(silence.look(heard(48_000, 11)) >= silence.limitMs(false));
});

test('media are missed sooner than what is asked for, and that sooner than checks', () => {
  const silence = steady();
  const limits = [silence.limitMs(true), silence.limitMs(false)];
  silence.look(heard(4000, 15_001));
  limits.push(silence.limitMs(true), silence.limitMs(false));
  assert.deepEqual(limits, [1800, 1800, 4500, 9000]);
});

test('a browser that counts nothing is not silent', () => {
  const silence = new Silence();
  for (let second = 0; second < 30; second += 1) assert.equal(silence.look(heard(second * 1000, 0)), 0);
});

// Timers of hidden pages and busy machines are late by minutes.
test('a page that looks seldom has not heard less', () => {
  const silence = steady();
  assert.equal(silence.look(heard(60_000, 9000)), 0);
  assert.equal(silence.look(heard(120_000, 18_000)), 0);
});

test('another pair begins anew', () => {
  const silence = steady();
  silence.look(heard(5000, 15_000));
  assert.equal(silence.look(heard(5100, 0, null, 'Q')), 0);
  assert.equal(silence.look(heard(9000, 0, null, 'Q')), 0, 'as long as nothing has come steadily');
  assert.equal(silence.look(null), 0);
});

test('packets and answers to checks count, in Chromium and in Firefox', () => {
  const pair = { id: 'P', type: 'candidate-pair', timestamp: 7, bytesReceived: 100 };
  assert.deepEqual(readHeard([{ id: 'T', type: 'transport', selectedCandidatePairId: 'P' }, { ...pair, responsesReceived: 2, requestsReceived: 3, lastPacketReceivedTimestamp: 5 }]), {
    pair: 'P', count: 105, lastAt: 5, at: 7,
  });
  assert.deepEqual(readHeard([{ ...pair, selected: true }]), { pair: 'P', count: 100, lastAt: null, at: 7 });
  assert.equal(readHeard([pair]), null);
});

// Media may end by itself, and on a slow page the first look at that comes when the time is nearly over.
test('who was asked has time to answer', () => {
  const silence = new Silence();
  for (const second of [0, 1, 2, 3, 4]) silence.look(heard(second * 1000, second * 10_000));
  assert.equal(silence.remainingMs(silence.look(heard(4300, 40_000)), false), 1500);
  assert.equal(silence.remainingMs(silence.look(heard(5700, 40_000)), true), 600, 'asked only now');
  assert.equal(silence.remainingMs(silence.look(heard(6300, 40_000)), true), 0);
});
