import assert from 'node:assert/strict';
import { test } from 'node:test';
import { qrModules } from '../src/view/qr.js';

/** What the corners of every QR code but the last hold (ISO/IEC 18004, 6.3.3). */
const FINDER = ['#######', '#.....#', '#.###.#', '#.###.#', '#.###.#', '#.....#', '#######'];

/** @param {boolean[][]} modules @param {number} x @param {number} y */
const square = (modules, x, y) => modules.slice(y, y + 7).map((row) => row.slice(x, x + 7).map((dark) => (dark ? '#' : '.')).join(''));

test('a code is square, has its three finders, and nothing in the quiet zone', async () => {
  for (const link of ['https://a.example/room/tea', `https://call.example/room/${'차'.repeat(64)}?watch=1#t=${'x'.repeat(600)}`]) {
    const modules = await qrModules(link);
    const side = modules.length;
    assert.ok(modules.every((row) => row.length === side), link);
    for (const [x, y] of [[4, 4], [side - 11, 4], [4, side - 11]]) assert.deepEqual(square(modules, x, y), FINDER, `${link} at ${x},${y}`);
    const quiet = (/** @type {number} */ at) => at < 4 || at >= side - 4;
    modules.forEach((row, y) => row.forEach((dark, x) => assert.ok(!dark || !(quiet(x) || quiet(y)), `${x},${y}`)));
  }
});

test('another link is another code', async () => {
  assert.notDeepEqual(await qrModules('https://a.example/room/tea'), await qrModules('https://a.example/room/tee'));
});
