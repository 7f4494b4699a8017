// The picture of the start page: the two ways a call can take.

import { t } from '../texts/texts.js';
import { svg } from './icons.js';

export function callPicture() {
  const picture = svg(
    'svg',
    { class: 'picture', viewBox: '0 0 480 400', role: 'img', 'aria-label': t('landing.picture') },
    svg('rect', { class: 'picture-ground', x: 0, y: 0, width: 480, height: 400, rx: 36 }),
    person(36, 40, 'a'),
    person(324, 40, 'b'),
    svg('path', { class: 'way direct', d: 'M168 100H312' }),
    svg('circle', { class: 'packet direct', r: 6, cx: 168, cy: 100 }),
    svg('circle', { class: 'packet direct late', r: 6, cx: 168, cy: 100 }),
    caption(240, 186, t('landing.direct')),
    svg('path', { class: 'divider', d: 'M36 212H444' }),
    person(36, 240, 'c', true),
    person(360, 240, 'd', true),
    svg('path', { class: 'way relayed', d: 'M132 282H360' }),
    svg('rect', { class: 'relay', x: 214, y: 256, width: 52, height: 52, rx: 15 }),
    svg('path', { class: 'relay-mark', d: 'M229 290c3.5-17 18.5-17 22 0' }),
    svg('circle', { class: 'packet relayed', r: 6, cx: 132, cy: 282 }),
    svg('circle', { class: 'packet relayed late', r: 6, cx: 132, cy: 282 }),
    caption(240, 358, t('landing.relayed')),
  );
  return picture;
}

/**
 * Somebody in a tile.
 * @param {number} x
 * @param {number} y
 * @param {string} who
 * @param {boolean} [small]
 */
function person(x, y, who, small = false) {
  const scale = small ? 0.7 : 1;
  const clip = `clip-${who}`;
  return svg(
    'g',
    { class: `person person-${who}`, transform: `translate(${x} ${y}) scale(${scale})` },
    svg('clipPath', { id: clip }, svg('rect', { x: 0, y: 0, width: 120, height: 120, rx: 26 })),
    svg('rect', { class: 'tile-ground', x: 0, y: 0, width: 120, height: 120, rx: 26 }),
    svg(
      'g',
      { 'clip-path': `url(#${clip})` },
      svg('circle', { class: 'head', cx: 60, cy: 52, r: 21 }),
      svg('path', { class: 'body', d: 'M16 124c2-30 20-44 44-44s42 14 44 44z' }),
    ),
  );
}

/**
 * @param {number} x
 * @param {number} y
 * @param {string} text
 */
function caption(x, y, text) {
  return svg('text', { class: 'picture-caption', x, y, 'text-anchor': 'middle' }, document.createTextNode(text));
}
