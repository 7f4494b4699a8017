// Small graphs of the last minutes.

import { svg } from './icons.js';

const WIDTH = 240;
const HEIGHT = 40;

/**
 * The line of a graph as an SVG path: time to the right, newest at the right edge; gaps where there is no value. Pure.
 * @param {(number | null)[]} values oldest first
 * @param {number} count how many values fill the width
 * @param {number} top the value at the upper edge
 */
export function graphPath(values, count, top) {
  let path = '';
  let drawing = false;
  values.forEach((value, index) => {
    if (value === null) {
      drawing = false;
      return;
    }
    const x = WIDTH - ((values.length - 1 - index) * WIDTH) / Math.max(1, count - 1);
    const y = HEIGHT - (Math.min(value, top) / top) * HEIGHT;
    path += `${drawing ? 'L' : 'M'}${round(x)} ${round(y)}`;
    drawing = true;
  });
  return path;
}

/** @param {number} value */
const round = (value) => Math.round(value * 10) / 10;

/**
 * The upper edge of a graph: the next “round” number above all values, and not less than `least`.
 * @param {(number | null)[]} values
 * @param {number} least
 */
export function graphTop(values, least) {
  const most = Math.max(least, ...values.map((value) => value ?? 0));
  const power = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 5, 10].map((step) => step * power).find((top) => top >= most) ?? most;
}

/**
 * @param {number} count how many values fill the width
 * @param {number} least see `graphTop`
 */
export function createGraph(count, least) {
  const line = svg('path', { class: 'graph-line', d: '' });
  // The text beside it says the same.
  const element = svg('svg', { class: 'graph', viewBox: `0 -2 ${WIDTH} ${HEIGHT + 4}`, preserveAspectRatio: 'none', 'aria-hidden': 'true' }, line);
  return {
    element,
    /** @param {(number | null)[]} values oldest first */
    show: (values) => line.setAttribute('d', graphPath(values, count, graphTop(values, least))),
  };
}
