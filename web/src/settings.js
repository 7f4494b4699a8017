// What the page remembers in this browser, and what its address asks for.

import { cleanName } from './protocol/room.js';

/** @import { Mode } from './view/layout.js' */

/**
 * @typedef {object} Settings
 * @property {string} name
 * @property {'en' | 'ko' | null} language null: the browser's own
 * @property {string | null} camera device id
 * @property {string | null} microphone device id
 * @property {boolean} cameraOff
 * @property {boolean} relayOnly
 * @property {Mode} layout
 */

const STORAGE_KEY = 'callbox';

/** @type {Settings} */
const DEFAULTS = { name: '', language: null, camera: null, microphone: null, cameraOff: false, relayOnly: false, layout: 'grid' };

/**
 * @param {Pick<Storage, 'getItem'> | undefined} storage
 * @returns {Settings}
 */
export function loadSettings(storage) {
  const stored = readStored(storage);
  const text = (/** @type {unknown} */ value) => (typeof value === 'string' && value !== '' ? value : null);
  return {
    name: cleanName(stored.name),
    language: stored.language === 'en' || stored.language === 'ko' ? stored.language : null,
    camera: text(stored.camera),
    microphone: text(stored.microphone),
    cameraOff: stored.cameraOff === true,
    relayOnly: stored.relayOnly === true,
    layout: stored.layout === 'speaker' ? 'speaker' : 'grid',
  };
}

/**
 * @param {Pick<Storage, 'getItem'> | undefined} storage
 * @returns {Record<string, unknown>}
 */
function readStored(storage) {
  try {
    return { ...DEFAULTS, ...JSON.parse(storage?.getItem(STORAGE_KEY) ?? '{}') };
  } catch {
    return { ...DEFAULTS };
  }
}

/**
 * @param {Pick<Storage, 'setItem'> | undefined} storage
 * @param {Settings} settings
 */
export function saveSettings(storage, settings) {
  try {
    storage?.setItem(STORAGE_KEY, JSON.stringify(settings));
  } catch {
    // Private windows may refuse; the call works without being remembered.
  }
}

/**
 * Query parameters; web/README.md lists them. Null where the address says nothing.
 * @param {string} search
 */
export function readQuery(search) {
  const query = new URLSearchParams(search);
  const flag = (/** @type {string} */ name) => (query.has(name) ? query.get(name) !== '0' : null);
  return {
    name: query.has('name') ? cleanName(query.get('name')) : null,
    language: query.get('lang'),
    autojoin: flag('autojoin') ?? false,
    relayOnly: flag('relay'),
    audio: flag('audio') ?? true,
    video: flag('video') ?? true,
  };
}
