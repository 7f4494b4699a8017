// Where the tiles of a call go. Pure: sizes and people in, rectangles out. All lengths are CSS pixels.

/** Width divided by height of a picture. */
const RATIO = 16 / 9;
/** The tallest tile of a grid on a portrait screen: height divided by width. */
const TALLEST = 1.6;
/** The tallest small tile. */
const TALLEST_SMALL = 1;
/** How far a tile over another one is from the edges. */
const INSET = 12;
/** What share of the box the band of small tiles may take: the first that gives them a readable size. */
const BANDS = [0.16, 0.2, 0.25, 0.3, 0.36];
/** Readable: a small tile's least width. */
const SMALL_WIDTH = 100;

/**
 * `grid`: all alike. `speaker`: who speaks, or spoke last, is large.
 * @typedef {'grid' | 'speaker'} Mode
 *
 * Tiles go by their keys.
 * @typedef {object} Scene
 * @property {number} width
 * @property {number} height
 * @property {number} gap
 * @property {string | null} self null for somebody who only watches
 * @property {string[]} others
 * @property {string[]} screens shared screens
 * @property {string | null} pinned the tile that the reader wants large
 * @property {string | null} speaker who of the others speaks or spoke last
 * @property {Mode} mode
 *
 * `corner`: over a large one.
 * @typedef {{key: string, x: number, y: number, width: number, height: number, size: 'large' | 'small' | 'corner'}} Place
 *
 * @typedef {'alone' | 'pair' | 'grid' | 'spotlight' | 'screen'} Kind
 * @typedef {{kind: Kind, places: Place[]}} Layout
 *
 * @typedef {object} Grid
 * @property {number} columns
 * @property {number} rows
 * @property {number} width of a tile
 * @property {number} height
 */

/**
 * Where everything goes. What is pinned is large; else a shared screen; else, of two people, the other one; else, as the reader
 * likes it, whoever speaks or nobody in particular.
 * @param {Scene} scene
 * @returns {Layout}
 */
export function layOut(scene) {
  const { self, others, screens, mode } = scene;
  const all = [...screens, ...others, ...(self === null ? [] : [self])];
  const pinned = scene.pinned !== null && all.includes(scene.pinned) ? scene.pinned : null;
  if (others.length === 0 && screens.length === 0) return { kind: 'alone', places: all.map((key) => corner(scene, key)) };
  if (screens.length > 0) {
    const large = pinned === null ? screens : [pinned];
    return { kind: 'screen', places: spotlight(scene, large, without(all, large)) };
  }
  if (others.length === 1) {
    const large = pinned ?? others[0];
    return { kind: 'pair', places: [whole(scene, large), ...without(all, [large]).map((key) => corner(scene, key))] };
  }
  const speaker = mode === 'speaker' ? (others.find((key) => key === scene.speaker) ?? others[0]) : null;
  const large = pinned ?? speaker;
  if (large !== null) return { kind: 'spotlight', places: spotlight(scene, [large], without(all, [large])) };
  return { kind: 'grid', places: inGrid(all, { x: 0, y: 0, width: scene.width, height: scene.height }, scene.gap, 'large') };
}

/**
 * The grid that makes the tiles of a box as large as possible. Tiles keep 16:9 on a wide box and may grow
 * taller on a narrow one, so that a portrait phone is filled.
 * @param {number} count of tiles
 * @param {number} width of the box
 * @param {number} height
 * @param {number} gap between tiles
 * @param {number} [tallest] height divided by width
 * @returns {Grid}
 */
export function grid(count, width, height, gap, tallest = width < height ? TALLEST : 1 / RATIO) {
  /** @type {Grid} */
  let best = { columns: 1, rows: Math.max(count, 1), width: 0, height: 0 };
  for (let columns = 1; columns <= count; columns += 1) {
    const rows = Math.ceil(count / columns);
    const cellWidth = (width - gap * (columns - 1)) / columns;
    const cellHeight = (height - gap * (rows - 1)) / rows;
    if (cellWidth <= 0 || cellHeight <= 0) continue;
    const tile = fit(cellWidth, cellHeight, tallest);
    if (tile.width * tile.height > best.width * best.height * 1.001) best = { columns, rows, ...tile };
  }
  return best;
}

/**
 * The largest tile in a cell, between 16:9 and `tallest`.
 * @param {number} cellWidth
 * @param {number} cellHeight
 * @param {number} tallest height divided by width
 */
function fit(cellWidth, cellHeight, tallest) {
  const width = Math.min(cellWidth, cellHeight * RATIO);
  const height = Math.min(cellHeight, width * tallest);
  return { width: Math.floor(width), height: Math.floor(Math.max(height, Math.min(cellHeight, width / RATIO))) };
}

/**
 * @param {string[]} keys
 * @param {{x: number, y: number, width: number, height: number}} box
 * @param {number} gap
 * @param {Place['size']} size
 * @returns {Place[]} row by row, each row in the middle
 */
function inGrid(keys, box, gap, size) {
  const { columns, rows, width, height } = grid(keys.length, box.width, box.height, gap, size === 'small' ? TALLEST_SMALL : undefined);
  const top = box.y + Math.max(0, (box.height - rows * height - (rows - 1) * gap) / 2);
  return keys.map((key, index) => {
    const row = Math.floor(index / columns);
    const inRow = Math.min(columns, keys.length - row * columns);
    const left = box.x + (box.width - inRow * width - (inRow - 1) * gap) / 2;
    return { key, x: left + (index - row * columns) * (width + gap), y: top + row * (height + gap), width, height, size };
  });
}

/**
 * The large ones, and a band with the others: to the right on a wide box, below on a tall one.
 * @param {Scene} scene
 * @param {string[]} large
 * @param {string[]} small
 * @returns {Place[]}
 */
function spotlight({ width, height, gap }, large, small) {
  if (small.length === 0) return stack(large, { x: 0, y: 0, width, height }, gap);
  const wide = width >= height;
  const [length, across] = wide ? [width, height] : [height, width];
  const band = (/** @type {number} */ share) => {
    const thickness = Math.floor(length * share);
    const start = length - thickness;
    return wide ? { x: start, y: 0, width: thickness, height: across } : { x: 0, y: start, width: across, height: thickness };
  };
  const readable = BANDS.find((share) => {
    const box = band(share);
    return grid(small.length, box.width, box.height, gap, TALLEST_SMALL).width >= SMALL_WIDTH;
  });
  const box = band(readable ?? BANDS[BANDS.length - 1]);
  const rest = wide ? { x: 0, y: 0, width: Math.max(0, box.x - gap), height } : { x: 0, y: 0, width, height: Math.max(0, box.y - gap) };
  return [...stack(large, rest, gap), ...inGrid(small, box, gap, 'small')];
}

/**
 * One fills the box; several share it.
 * @param {string[]} keys
 * @param {{x: number, y: number, width: number, height: number}} box
 * @param {number} gap
 * @returns {Place[]}
 */
function stack(keys, box, gap) {
  return keys.length === 1 ? [{ key: keys[0], ...box, size: 'large' }] : inGrid(keys, box, gap, 'large');
}

/**
 * @param {Scene} scene
 * @param {string} key
 * @returns {Place}
 */
function whole({ width, height }, key) {
  return { key, x: 0, y: 0, width, height, size: 'large' };
}

/**
 * Small, over the bottom right corner: upright on a tall box, as a phone's camera is.
 * @param {Scene} scene
 * @param {string} key
 * @returns {Place}
 */
function corner({ width, height }, key) {
  const upright = width < height;
  const wished = upright ? 104 : Math.min(208, Math.max(112, width * 0.16));
  const across = Math.max(0, Math.min(wished, width - 2 * INSET));
  const down = Math.max(0, Math.min(upright ? (across * 4) / 3 : across / 1.6, height - 2 * INSET));
  return { key, x: Math.max(0, width - across - INSET), y: Math.max(0, height - down - INSET), width: across, height: down, size: 'corner' };
}

/**
 * @param {string[]} keys
 * @param {string[]} taken
 */
function without(keys, taken) {
  return keys.filter((key) => !taken.includes(key));
}
