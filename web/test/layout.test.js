import assert from 'node:assert/strict';
import { test } from 'node:test';
import { grid, layOut } from '../src/view/layout.js';
import { seeded } from '../testing/random.js';

/** @import { Place, Scene } from '../src/view/layout.js' */

const GAP = 12;

test('tiles fit into their box and none is lost, for any number and box', () => {
  const random = seeded(7);
  for (let round = 0; round < 2000; round += 1) {
    const count = 1 + Math.floor(random() * 16);
    const width = 200 + random() * 2000;
    const height = 200 + random() * 1400;
    const { columns, rows, ...tile } = grid(count, width, height, GAP);
    const context = `${count} in ${width} × ${height}`;
    assert.ok(columns * rows >= count, context);
    assert.ok(columns * tile.width + (columns - 1) * GAP <= width, context);
    assert.ok(rows * tile.height + (rows - 1) * GAP <= height, context);
    assert.ok(tile.width > 0 && tile.height > 0, context);
  }
});

test('a desktop shows tiles of 16:9', () => {
  for (const count of [1, 2, 3, 4, 6, 8]) {
    const { width, height } = grid(count, 1600, 800, GAP);
    assert.ok(Math.abs(width / height - 16 / 9) < 0.02, `${count}: ${width} × ${height}`);
  }
});

test('columns follow the shape of the screen', () => {
  assert.equal(grid(2, 1600, 700, GAP).columns, 2);
  assert.equal(grid(2, 390, 700, GAP).columns, 1);
  assert.equal(grid(4, 1600, 900, GAP).columns, 2);
  assert.equal(grid(8, 390, 700, GAP).columns, 2);
});

test('a box without room is no error', () => {
  assert.deepEqual(grid(3, 0, 0, GAP), { columns: 1, rows: 3, width: 0, height: 0 });
});

/**
 * @param {Partial<Scene>} scene
 * @returns {Scene}
 */
function scene(scene) {
  return { width: 1280, height: 720, gap: GAP, self: 'me', others: [], screens: [], pinned: null, speaker: null, mode: 'grid', ...scene };
}

/** @param {Partial<Scene>} partial */
function sizes(partial) {
  const { kind, places } = layOut(scene(partial));
  const of = (/** @type {Place['size']} */ size) => places.filter((place) => place.size === size).map(({ key }) => key);
  return [kind, of('large'), of('small'), of('corner')];
}

test('who is large depends on who is here and what is shared', () => {
  assert.deepEqual(sizes({}), ['alone', [], [], ['me']]);
  assert.deepEqual(sizes({ others: ['a'] }), ['pair', ['a'], [], ['me']]);
  assert.deepEqual(sizes({ others: ['a', 'b'] }), ['grid', ['a', 'b', 'me'], [], []]);
  assert.deepEqual(sizes({ others: ['a'], screens: ['s'] }), ['screen', ['s'], ['a', 'me'], []]);
  assert.deepEqual(sizes({ screens: ['s'] }), ['screen', ['s'], ['me'], []]);
});

test('the reader may want whoever speaks large', () => {
  const others = ['a', 'b'];
  assert.deepEqual(sizes({ others, mode: 'speaker', speaker: 'b' }), ['spotlight', ['b'], ['a', 'me'], []]);
  assert.deepEqual(sizes({ others, mode: 'speaker' }), ['spotlight', ['a'], ['b', 'me'], []]);
  assert.deepEqual(sizes({ others, mode: 'speaker', speaker: 'gone' }), ['spotlight', ['a'], ['b', 'me'], []]);
  assert.deepEqual(sizes({ others, mode: 'grid', speaker: 'b' })[0], 'grid');
});

test('what is pinned is large, before speakers and screens; what has gone is not', () => {
  const others = ['a', 'b'];
  assert.deepEqual(sizes({ others, pinned: 'b', mode: 'speaker', speaker: 'a' }), ['spotlight', ['b'], ['a', 'me'], []]);
  assert.deepEqual(sizes({ others, pinned: 'me' }), ['spotlight', ['me'], ['a', 'b'], []]);
  assert.deepEqual(sizes({ others, screens: ['s', 't'], pinned: 'a' }), ['screen', ['a'], ['s', 't', 'b', 'me'], []]);
  assert.deepEqual(sizes({ others: ['a'], pinned: 'me' }), ['pair', ['me'], [], ['a']]);
  assert.deepEqual(sizes({ others, pinned: 'gone' })[0], 'grid');
});

test('somebody who only watches has no tile', () => {
  assert.deepEqual(sizes({ self: null, others: [] }), ['alone', [], [], []]);
  assert.deepEqual(sizes({ self: null, others: ['a'] }), ['pair', ['a'], [], []]);
  assert.deepEqual(sizes({ self: null, others: ['a', 'b'] }), ['grid', ['a', 'b'], [], []]);
});

test('the band of small tiles is to the right of a wide box, and below in a tall one', () => {
  const others = ['a', 'b', 'c'];
  const of = (/** @type {Partial<Scene>} */ partial) => {
    const { places } = layOut(scene({ others, mode: 'speaker', speaker: 'a', ...partial }));
    return { large: places[0], small: places[1] };
  };
  const desktop = of({});
  assert.ok(desktop.small.x >= desktop.large.width && desktop.large.height === 720);
  const phone = of({ width: 360, height: 560 });
  assert.ok(phone.small.y >= phone.large.height && phone.large.width === 360);
  const turned = of({ width: 740, height: 260 });
  assert.ok(turned.small.x >= turned.large.width && turned.large.height === 260);
});

/**
 * @param {Place} one
 * @param {Place} other
 */
function overlap(one, other) {
  const slack = 0.01;
  return (
    one.x + one.width > other.x + slack && other.x + other.width > one.x + slack &&
    one.y + one.height > other.y + slack && other.y + other.height > one.y + slack
  );
}

test('everybody has a place in the box, and only corners lie over others, for any scene', () => {
  const random = seeded(11);
  const upTo = (/** @type {number} */ most) => Math.floor(random() * (most + 1));
  const names = (/** @type {string} */ prefix, /** @type {number} */ count) => Array.from({ length: count }, (_, index) => `${prefix}${index}`);
  for (let round = 0; round < 3000; round += 1) {
    const others = names('p', upTo(15));
    const screens = names('s', Math.max(0, upTo(4) - 2));
    const self = random() < 0.8 ? 'me' : null;
    const all = [...screens, ...others, ...(self ? [self] : [])];
    const given = scene({
      width: 280 + upTo(2000), height: 200 + upTo(1300), self, others, screens,
      pinned: random() < 0.3 ? (all[upTo(all.length)] ?? null) : null,
      speaker: others[upTo(others.length)] ?? null,
      mode: random() < 0.5 ? 'grid' : 'speaker',
    });
    const { places } = layOut(given);
    const context = JSON.stringify(given);
    assert.deepEqual(places.map(({ key }) => key).sort(), [...all].sort(), context);
    for (const place of places) {
      assert.ok(place.x >= 0 && place.y >= 0 && place.width > 0 && place.height > 0, context);
      assert.ok(place.x + place.width <= given.width + 0.01 && place.y + place.height <= given.height + 0.01, context);
    }
    const flat = places.filter(({ size }) => size !== 'corner');
    for (const one of flat) for (const other of flat) assert.ok(one === other || !overlap(one, other), context);
  }
});

test('small tiles stay readable for up to eight people on every screen that we know', () => {
  const others = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
  for (const [width, height] of [[360, 560], [390, 690], [740, 280], [768, 850], [1280, 640], [1920, 960]]) {
    for (const given of [{ others, mode: /** @type {const} */ ('speaker') }, { others, screens: ['s'] }]) {
      const { places } = layOut(scene({ width, height, ...given }));
      const small = places.filter(({ size }) => size === 'small');
      const large = places.filter(({ size }) => size === 'large');
      for (const place of small) assert.ok(place.width >= 72 && place.height >= 44, `${width} × ${height}: ${JSON.stringify(place)}`);
      for (const place of large) assert.ok(place.width * place.height >= 0.5 * width * height, `${width} × ${height}: ${JSON.stringify(place)}`);
    }
  }
});
