// A link as a QR code, for the camera of a phone. Loaded when somebody wants one.

import { t } from '../texts/texts.js';
import { encodeQR } from '../vendor/qr/index.js';
import { el } from './dom.js';

/** Side of a module on the canvas, in pixels: what is scaled from there stays sharp enough for any camera. */
const MODULE_PIXELS = 8;
/** What must stay empty around it, in modules (ISO/IEC 18004, 9.1). */
const QUIET_ZONE = 4;

/**
 * The modules, row by row, true for dark ones, with the quiet zone around them. Corrected is what 15 % of damage destroy.
 * @param {string} text
 * @returns {boolean[][]}
 */
export function qrModules(text) {
  return encodeQR(text, 'raw', { ecc: 'medium', border: QUIET_ZONE });
}

/**
 * Dark on light in every theme: many scanners know nothing else.
 * @param {string} link
 * @returns {HTMLCanvasElement}
 */
export function qrCanvas(link) {
  const modules = qrModules(link);
  const side = modules.length * MODULE_PIXELS;
  const canvas = el('canvas', { class: 'qr', width: side, height: side, role: 'img', 'aria-label': t('invite.qr_label', { link }), 'data-testid': 'qr' });
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
  context.fillStyle = 'white';
  context.fillRect(0, 0, side, side);
  context.fillStyle = 'black';
  modules.forEach((row, y) => row.forEach((dark, x) => dark && context.fillRect(x * MODULE_PIXELS, y * MODULE_PIXELS, MODULE_PIXELS, MODULE_PIXELS)));
  return canvas;
}
