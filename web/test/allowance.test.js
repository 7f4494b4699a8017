import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Allowance } from '../src/call/allowance.js';
import { FakeClock } from '../testing/random.js';

test('a burst, and then so much each second', () => {
  const clock = new FakeClock();
  const allowance = new Allowance({ burst: 3, perSecond: 2 }, clock);
  const taken = () => Array.from({ length: 10 }, () => allowance.take()).filter(Boolean).length;
  assert.equal(taken(), 3);
  clock.advance(1_000);
  assert.equal(taken(), 2);
  clock.advance(3_600_000);
  assert.equal(taken(), 3);
});
