// Icons as outlines on a 24 × 24 grid, drawn for this page.

const SVG = 'http://www.w3.org/2000/svg';

const PATHS = {
  microphone: ['M12 3a3 3 0 0 1 3 3v5a3 3 0 0 1-6 0V6a3 3 0 0 1 3-3z', 'M5.5 11a6.5 6.5 0 0 0 13 0', 'M12 17.5V21'],
  microphoneOff: ['M9 9v2a3 3 0 0 0 4.6 2.5M15 10.5V6a3 3 0 0 0-5.7-1.3', 'M5.5 11a6.5 6.5 0 0 0 10.3 5.3M18.5 11a6.4 6.4 0 0 1-.5 2.5', 'M12 17.5V21', 'M4 4l16 16'],
  camera: ['M5 6.5h8a2 2 0 0 1 2 2v7a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2v-7a2 2 0 0 1 2-2z', 'M15 11l6-3.5v9L15 13'],
  cameraOff: ['M9 6.5h4a2 2 0 0 1 2 2V11l6-3.5v9l-2.5-1.4', 'M15 15v.5a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2v-7a2 2 0 0 1 2-2h.5', 'M4 4l16 16'],
  screen: ['M4.5 4.5h15a1.5 1.5 0 0 1 1.5 1.5v9a1.5 1.5 0 0 1-1.5 1.5h-15A1.5 1.5 0 0 1 3 15V6a1.5 1.5 0 0 1 1.5-1.5z', 'M8 20h8', 'M12 13V8M9.5 10.2 12 7.7l2.5 2.5'],
  chat: ['M5.5 4.5h13a2 2 0 0 1 2 2v8a2 2 0 0 1-2 2H12l-4.5 4v-4h-2a2 2 0 0 1-2-2v-8a2 2 0 0 1 2-2z', 'M8 9h8M8 12.5h5'],
  leave: ['M3.5 14.8c-.9-1-.9-2.5.1-3.4 4.7-4.1 12.1-4.1 16.8 0 1 .9 1 2.4.1 3.4l-.7.8a1.3 1.3 0 0 1-1.7.2l-2.2-1.5a1.3 1.3 0 0 1-.6-1.1v-1.7a12 12 0 0 0-6.6 0v1.7c0 .4-.2.8-.6 1.1l-2.2 1.5a1.3 1.3 0 0 1-1.7-.2z'],
  invite: ['M10 13.5a4 4 0 0 0 6 .4l3-3a4 4 0 0 0-5.7-5.7l-1.4 1.4', 'M14 10.5a4 4 0 0 0-6-.4l-3 3a4 4 0 0 0 5.7 5.7l1.4-1.4'],
  share: ['M12 15V4.5M8 8l4-3.8L16 8', 'M7.5 11.5H6a1.5 1.5 0 0 0-1.5 1.5v5.5A1.5 1.5 0 0 0 6 20h12a1.5 1.5 0 0 0 1.5-1.5V13a1.5 1.5 0 0 0-1.5-1.5h-1.5'],
  qr: ['M4.5 4.5h6v6h-6zM13.5 4.5h6v6h-6zM4.5 13.5h6v6h-6z', 'M13.5 13.5h2.5v2.5M19.5 13.5v2.5M13.5 19.5h2.5M19.5 19.5h-.01M7.5 7.5h.01M16.5 7.5h.01M7.5 16.5h.01'],
  check: ['M5 12.5l4.5 4.5L19 7.5'],
  close: ['M6 6l12 12M18 6 6 18'],
  send: ['M4 12h15M13 6l6 6-6 6'],
  direct: ['M7 12h10', 'M4.5 9.5a2.5 2.5 0 1 1 0 5 2.5 2.5 0 0 1 0-5z', 'M19.5 9.5a2.5 2.5 0 1 1 0 5 2.5 2.5 0 0 1 0-5z'],
  relayed: ['M5.5 15.5 9 10.5M15 10.5l3.5 5', 'M9 4.5h6v6H9z', 'M4.5 15.5a2 2 0 1 1 0 4 2 2 0 0 1 0-4z', 'M19.5 15.5a2 2 0 1 1 0 4 2 2 0 0 1 0-4z'],
  lock: ['M6.5 10.5h11a1 1 0 0 1 1 1v7a1 1 0 0 1-1 1h-11a1 1 0 0 1-1-1v-7a1 1 0 0 1 1-1z', 'M8 10.5V8a4 4 0 0 1 8 0v2.5'],
  server: ['M5 4.5h14v6H5zM5 13.5h14v6H5z', 'M8 7.5h.01M8 16.5h.01'],
  warning: ['M12 4.5l8.5 15h-17z', 'M12 10v4.5M12 17h.01'],
  unknown: ['M8.8 9.2a3.3 3.3 0 1 1 4.6 3.4c-.9.4-1.4 1-1.4 1.9', 'M12 18h.01'],
  file: ['M7 3.5h6.5L18 8v11a1.5 1.5 0 0 1-1.5 1.5h-9.5A1.5 1.5 0 0 1 5.5 19V5A1.5 1.5 0 0 1 7 3.5z', 'M13 3.5V8.5h5'],
  attach: ['M19 11.5l-7.2 7.2a4.3 4.3 0 0 1-6.1-6.1l7.6-7.6a2.9 2.9 0 0 1 4.1 4.1l-7.5 7.5a1.4 1.4 0 0 1-2-2l6.8-6.8'],
  hand: ['M8 12.5V6.2a1.3 1.3 0 0 1 2.6 0V11M10.6 10V4.8a1.3 1.3 0 0 1 2.6 0V11M13.2 10.5V5.8a1.3 1.3 0 0 1 2.6 0V13M15.8 9.5a1.3 1.3 0 0 1 2.6 0v5a6 6 0 0 1-6 6c-3 0-4.3-1.3-5.6-3.7l-2-3.7a1.3 1.3 0 0 1 2.2-1.4L8 13.5'],
  react: ['M12 3.5a8.5 8.5 0 1 1 0 17 8.5 8.5 0 0 1 0-17z', 'M8.5 14.2a4.3 4.3 0 0 0 7 0', 'M9 9.8h.01M15 9.8h.01'],
  people: ['M9 4.5a3.5 3.5 0 1 1 0 7 3.5 3.5 0 0 1 0-7z', 'M2.8 19.5a6.3 6.3 0 0 1 12.4 0', 'M15.5 5a3.3 3.3 0 0 1 0 6.2M17.5 14.2a6.3 6.3 0 0 1 3.8 5.3'],
  settings: ['M4 7.5h8M17 7.5h3M4 16.5h3M12 16.5h8', 'M14.5 5a2.5 2.5 0 1 1 0 5 2.5 2.5 0 0 1 0-5z', 'M9.5 14a2.5 2.5 0 1 1 0 5 2.5 2.5 0 0 1 0-5z'],
  more: ['M6 12h.01M12 12h.01M18 12h.01'],
  watch: ['M2.5 12c4-7.3 15-7.3 19 0-4 7.3-15 7.3-19 0z', 'M12 9.3a2.7 2.7 0 1 1 0 5.4 2.7 2.7 0 0 1 0-5.4z'],
  pin: ['M9 4h6l-.8 6 3.3 3.5h-11L9.8 10z', 'M12 13.5V20'],
  float: ['M4.5 5h15A1.5 1.5 0 0 1 21 6.5v4M3 6.5A1.5 1.5 0 0 1 4.5 5M3 6.5v11A1.5 1.5 0 0 0 4.5 19H10', 'M13.5 13.5h7v5.5h-7z'],
  grid: ['M4 4.5h7v6.5H4zM13 4.5h7v6.5h-7zM4 13h7v6.5H4zM13 13h7v6.5h-7z'],
  speaker: ['M4 4.5h16v10H4z', 'M4 17h4v2.5H4zM10 17h4v2.5h-4zM16 17h4v2.5h-4z'],
  sound: ['M4 9.5h3.5L12 6v12l-4.5-3.5H4z', 'M15.5 9a4 4 0 0 1 0 6M18 6.5a7.5 7.5 0 0 1 0 11'],
};

/** @typedef {keyof typeof PATHS} IconName */

/**
 * An icon; decoration only, so its button or text carries the name.
 * @param {IconName} name
 */
export function icon(name) {
  return svg('svg', { class: 'icon', viewBox: '0 0 24 24', 'aria-hidden': 'true' }, ...PATHS[name].map((d) => svg('path', { d })));
}

/**
 * @param {string} tag
 * @param {Record<string, string | number>} attributes
 * @param {...Node} children
 */
export function svg(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

/** Three bars, of which CSS dims those that the quality of a connection does not reach. */
export function signalBars() {
  const bar = (/** @type {number} */ n) => svg('rect', { class: `bar bar-${n}`, x: 1 + n * 5, y: 9 - n * 4, width: 3.4, height: 6 + n * 4, rx: 1 });
  return svg('svg', { class: 'bars', viewBox: '0 0 16 16', 'aria-hidden': 'true' }, bar(0), bar(1), bar(2));
}

/** The mark: a call box, two people and the line between them. */
export function mark() {
  return svg(
    'svg',
    { class: 'mark', viewBox: '0 0 32 32', 'aria-hidden': 'true' },
    svg('rect', { class: 'mark-box', x: 2, y: 2, width: 28, height: 28, rx: 9 }),
    svg('path', { class: 'mark-line', d: 'M10 20c2-9 10-9 12 0' }),
    svg('circle', { class: 'mark-end', cx: 10, cy: 20, r: 3 }),
    svg('circle', { class: 'mark-end', cx: 22, cy: 20, r: 3 }),
  );
}
