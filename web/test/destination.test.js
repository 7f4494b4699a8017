import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Destinations } from '../src/call/files/destination.js';

/**
 * A dialog where somebody chooses a file, in a browser that can remove it or not.
 * @param {{size?: number, remove?: () => Promise<void>}} file
 */
function setUp({ size = 0, remove }) {
  /** @type {string[]} */ const log = [];
  const file = {
    createWritable: async () => ({ write: async () => {}, close: async () => {}, abort: async () => void log.push('abort') }),
    getFile: async () => ({ size }),
    ...(remove && { remove: () => (log.push('remove'), remove()) }),
  };
  const environment = { showSaveFilePicker: async () => /** @type {any} */ (file), storage: undefined, locks: undefined };
  /** @type {any} */ let sink;
  const transfer = { name: 'a.txt', size: 9, accept: async (/** @type {any} */ given) => void (sink = given) };
  const accepted = new Destinations(environment, 'page').accept(/** @type {any} */ (transfer));
  return { log, accepted, stop: () => sink.abort() };
}

test('of a transfer that did not come nothing stays where it was to be saved', async () => {
  const { log, accepted, stop } = setUp({ remove: async () => {} });
  assert.equal(await accepted, 'accepted');
  await stop();
  assert.deepEqual(log, ['abort', 'remove']);
});

test('what is not empty is never removed, and where removing does not work nobody minds', async () => {
  const full = setUp({ size: 1, remove: async () => {} });
  const failing = setUp({ remove: () => Promise.reject(new Error('moved')) });
  const without = setUp({});
  for (const { accepted, stop } of [full, failing, without]) {
    await accepted;
    await stop();
  }
  assert.deepEqual([full.log, failing.log, without.log], [['abort'], ['abort', 'remove'], ['abort']]);
});
