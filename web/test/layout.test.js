import assert from 'node:assert/strict';
import { test } from 'node:test';
import { arrange, grid } from '../src/view/layout.js';
import { seeded } from '../testing/random.js';

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

test('who is large depends on who is here', () => {
  assert.deepEqual(arrange('me', [], []), { kind: 'alone', stage: [], strip: ['me'] });
  assert.deepEqual(arrange('me', ['a'], []), { kind: 'pair', stage: ['a'], strip: ['me'] });
  assert.deepEqual(arrange('me', ['a', 'b'], []), { kind: 'grid', stage: ['a', 'b', 'me'], strip: [] });
  assert.deepEqual(arrange('me', ['a'], ['s']), { kind: 'screen', stage: ['s'], strip: ['a', 'me'] });
});
