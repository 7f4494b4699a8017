// Connects the check to the browser. Loaded only where it is wanted.

import { Devices } from './call/devices.js';
import { Check } from './check/check.js';
import { newRoomName } from './protocol/invitation.js';
import { SUBPROTOCOL } from './protocol/signaling.js';
import { checkView } from './view/check.js';

/** @import { View } from './view/parts.js' */

/** Fine enough for round trips; the wall clock is only read once. */
const clock = {
  now: () => performance.timeOrigin + performance.now(),
  setTimeout: (/** @type {() => void} */ callback, /** @type {number} */ delay) => window.setTimeout(callback, delay),
  clearTimeout: (/** @type {number} */ timer) => window.clearTimeout(timer),
};

/**
 * A check that goes on over changes of the language.
 * @param {{socketUrl: URL, onChange: () => void}} options
 */
export function openCheck({ socketUrl, onChange }) {
  const check = new Check({
    connect: () => new WebSocket(socketUrl, SUBPROTOCOL),
    newRoom: () => newRoomName((bytes) => crypto.getRandomValues(bytes)),
    serverTime,
    createConnection:
      typeof RTCPeerConnection === 'undefined' ? null : (configuration) => new RTCPeerConnection(configuration),
    page: { secure: isSecureContext, origin: location.origin },
    clock,
    onChange,
  });
  const devices = new Devices({
    mediaDevices: navigator.mediaDevices,
    permissions: navigator.permissions,
    newStream: () => new MediaStream(),
    onChange,
    onLost: onChange,
  });
  void check.start();
  return {
    /** @param {(language: import('./texts/texts.js').Language) => void} onLanguage @returns {View} */
    view: (onLanguage) => checkView({ check, devices, origin: location.origin, browser: navigator.userAgent, onLanguage }),
    close: () => {
      check.close();
      devices.closeAll();
    },
  };
}

/** Every HTTP answer has the server's time, in whole seconds: half a second is added for what was cut off. */
async function serverTime() {
  const answer = await fetch('/check', { method: 'HEAD', cache: 'no-store' });
  const told = Date.parse(answer.headers.get('date') ?? '');
  return Number.isNaN(told) ? null : told + 500;
}
