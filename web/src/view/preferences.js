// What can be set during the call.

import { CODECS } from '../call/codecs.js';
import { t } from '../texts/texts.js';
import { el } from './dom.js';
import { createPanel } from './panel.js';
import { devicePickers } from './pickers.js';
import { KEYS } from './shortcuts.js';

/** @import { Devices } from '../call/devices.js' */
/** @import { Settings } from '../settings.js' */
/** @import { TextKey } from '../texts/texts.js' */
/** @import { Action } from './shortcuts.js' */

/** @type {Record<Action, TextKey>} */
const ACTIONS = {
  microphone: 'keys.microphone',
  camera: 'keys.camera',
  screen: 'keys.screen',
  hand: 'keys.hand',
  chat: 'keys.chat',
  people: 'keys.people',
  layout: 'keys.layout',
  settings: 'keys.settings',
};

/**
 * @param {object} options
 * @param {Devices} options.devices
 * @param {boolean} options.watching whether the reader only watches
 * @param {Settings} options.settings as they are now
 * @param {(changes: Partial<Settings>) => void} options.onSettings
 */
export function createPreferences({ devices, watching, settings, onSettings }) {
  const pickers = devicePickers(devices, onSettings, { watching });
  const noise = toggle('noise-suppression', t('settings.noise'), t('settings.noise_hint'), settings.noiseSuppression, (on) => {
    onSettings({ noiseSuppression: on });
    void devices.setNoiseSuppression(on);
  });
  const talk = toggle('push-to-talk', t('settings.push_to_talk'), t('settings.push_to_talk_hint'), settings.pushToTalk, (on) => {
    onSettings({ pushToTalk: on });
    devices.setMuted(on);
  });
  const shortcuts = toggle('shortcuts', t('settings.shortcuts'), t('settings.shortcuts_hint'), settings.shortcuts, (on) => onSettings({ shortcuts: on }));
  const low = toggle('low-bandwidth', t('settings.low'), t('settings.low_hint'), settings.low, (on) => onSettings({ low: on }));
  const keys = Object.entries(KEYS).flatMap(([key, action]) => [el('dt', {}, el('kbd', {}, key.toUpperCase())), el('dd', {}, t(ACTIONS[action]))]);
  const panel = createPanel({
    name: 'settings',
    content: [
      pickers.element,
      watching ? null : noise,
      watching ? null : talk,
      low,
      watching ? null : codecField(settings, onSettings),
      shortcuts,
      el('dl', { class: 'keys' }, ...keys),
    ],
  });
  panel.setTitle(t('settings.title'));
  return {
    element: panel.element,
    close: panel.close,
    toggle() {
      if (panel.isOpen) return panel.close();
      void pickers.update();
      return panel.open();
    },
    update() {
      if (panel.isOpen) void pickers.update();
    },
  };
}

/**
 * @param {string} id
 * @param {string} label
 * @param {string} hint
 * @param {boolean} on
 * @param {(on: boolean) => void} onSwitch
 */
function toggle(id, label, hint, on, onSwitch) {
  const box = el('input', { type: 'checkbox', role: 'switch', id, 'data-testid': id, 'aria-describedby': `${id}-hint`, onchange: () => onSwitch(box.checked) });
  box.checked = on;
  return el('div', { class: 'switch-field' }, box, el('label', { for: id }, label), el('p', { class: 'hint', id: `${id}-hint` }, hint));
}

/**
 * @param {Settings} settings
 * @param {(changes: Partial<Settings>) => void} onSettings
 */
function codecField(settings, onSettings) {
  const select = el('select', { id: 'codec', 'data-testid': 'codec', onchange: () => onSettings({ codec: select.value || null }) });
  select.append(el('option', { value: '', selected: settings.codec === null }, t('settings.codec_any')));
  for (const codec of CODECS) select.append(el('option', { value: codec, selected: settings.codec === codec }, codec));
  return el('div', { class: 'field' }, el('label', { for: 'codec' }, t('settings.codec')), select);
}
