// Where the tiles of a call go. Pure.

/** Width divided by height of a picture. */
const RATIO = 16 / 9;

/**
 * @typedef {object} Grid
 * @property {number} columns
 * @property {number} rows
 * @property {number} width of a tile, in CSS pixels
 * @property {number} height
 */

/**
 * The grid that makes the tiles of a box as large as possible. Tiles keep 16:9 on a wide box and may grow
 * up to `tallest` (height by width) on a narrow one, so that a portrait phone is filled.
 * @param {number} count of tiles
 * @param {number} width of the box, in CSS pixels
 * @param {number} height
 * @param {number} gap between tiles
 * @returns {Grid}
 */
export function grid(count, width, height, gap) {
  /** @type {Grid} */
  let best = { columns: 1, rows: Math.max(count, 1), width: 0, height: 0 };
  for (let columns = 1; columns <= count; columns += 1) {
    const rows = Math.ceil(count / columns);
    const cellWidth = (width - gap * (columns - 1)) / columns;
    const cellHeight = (height - gap * (rows - 1)) / rows;
    if (cellWidth <= 0 || cellHeight <= 0) continue;
    const tile = fit(cellWidth, cellHeight, width < height ? 1.35 : 1 / RATIO);
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
 * @typedef {object} Arrangement
 * @property {'alone' | 'pair' | 'grid' | 'screen'} kind
 * @property {string[]} stage large tiles, in order
 * @property {string[]} strip small ones beside or over them
 */

/**
 * Who is large and who is small. A shared screen takes the stage; of two people each sees the other large
 * and themself small; from three on everybody has an equal tile.
 * @param {string} self
 * @param {string[]} others
 * @param {string[]} screens
 * @returns {Arrangement}
 */
export function arrange(self, others, screens) {
  if (screens.length > 0) return { kind: 'screen', stage: screens, strip: [...others, self] };
  if (others.length === 0) return { kind: 'alone', stage: [], strip: [self] };
  if (others.length === 1) return { kind: 'pair', stage: others, strip: [self] };
  return { kind: 'grid', stage: [...others, self], strip: [] };
}
