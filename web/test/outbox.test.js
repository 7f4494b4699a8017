import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Outbox } from '../src/protocol/outbox.js';

test('a signal is written in the order in which the server reads it in one pass', () => {
  const outbox = new Outbox();
  const signal = /** @type {const} */ ({ type: 'signal', to: '0af9', epoch: 3, candidate: null });
  assert.equal(outbox.push(signal, true)?.frame, '{"type":"signal","id":1,"to":"0af9","epoch":3,"candidate":null}');
  // As the call says it: whom it is for, and then what the negotiation has to say.
  const description = /** @type {const} */ ({ type: 'offer', sdp: '' });
  const body = { epoch: 4, description };
  const frame = outbox.push({ type: 'signal', to: '0af9', ...body }, true)?.frame;
  assert.equal(frame, '{"type":"signal","id":2,"to":"0af9","epoch":4,"description":{"type":"offer","sdp":""}}');
});
