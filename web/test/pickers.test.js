import assert from 'node:assert/strict';
import { test } from 'node:test';
import { usedOrAsked } from '../src/view/pickers.js';

/** @param {string | null} used @param {string | undefined} chosen @param {boolean} opening */
const shown = (used, chosen, opening) =>
  usedOrAsked(
    /** @type {any} */ ({
      tracks: { camera: used === null ? null : { getSettings: () => ({ deviceId: used }) } },
      opening: { camera: opening },
      chosen: { camera: chosen },
    }),
    'camera',
  );

test('what is shown as chosen is what is used, except while it changes', () => {
  assert.equal(shown('old', 'new', true), 'new');
  assert.equal(shown('old', 'new', false), 'old', 'the new one did not open');
  assert.equal(shown('new', 'new', false), 'new');
  assert.equal(shown(null, 'new', false), 'new', 'for when it is turned on');
  assert.equal(shown('any', undefined, true), 'any');
});
