// What the page remembers in this browser, and what its address asks for.

import { CODECS } from './call/codecs.js';
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
 * @property {string | null} speaker device id
 * @property {Mode} layout
 * @property {boolean} noiseSuppression
 * @property {boolean} pushToTalk
 * @property {boolean} shortcuts whether single keys do something
 * @property {boolean} low whether little is sent and wanted
 * @property {string | null} codec preferred for pictures; null leaves it to the browser
 */

/** @typedef {ReturnType<typeof readQuery>} Query */

const STORAGE_KEY = 'callbox';

/** @type {Settings} */
const DEFAULTS = {
  name: '',
  language: null,
  camera: null,
  microphone: null,
  speaker: null,
  cameraOff: false,
  relayOnly: false,
  layout: 'grid',
  noiseSuppression: true,
  pushToTalk: false,
  shortcuts: true,
  low: false,
  codec: null,
};

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
    speaker: text(stored.speaker),
    layout: stored.layout === 'speaker' ? 'speaker' : 'grid',
    noiseSuppression: stored.noiseSuppression !== false,
    pushToTalk: stored.pushToTalk === true,
    shortcuts: stored.shortcuts !== false,
    low: stored.low === true,
    codec: CODECS.find((codec) => codec === stored.codec) ?? null,
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
    watch: flag('watch') ?? false,
    audio: flag('audio') ?? true,
    video: flag('video') ?? true,
  };
}

/**
 * The room token of an invitation. It stands behind the `#`, which browsers tell no server.
 * @param {string} hash
 * @returns {{token?: string}}
 */
export function readToken(hash) {
  // A messenger may have taken a particle or a full stop for its end.
  const token = new URLSearchParams(hash.slice(1)).get('token')?.match(/^[\w.-]*[\w-]/)?.[0];
  return token ? { token } : {};
}
