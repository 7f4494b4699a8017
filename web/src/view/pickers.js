// Camera, microphone and speaker to choose from.

import { t } from '../texts/texts.js';
import { el } from './dom.js';

/** @import { Devices } from '../call/devices.js' */
/** @import { Settings } from '../settings.js' */

/**
 * Which devices are used; in the preview and during the call. A device that is off stays off: whoever chooses another camera does not
 * ask to be seen.
 * @param {Devices} devices
 * @param {(changes: Partial<Settings>) => void} onSettings
 * @param {{watching?: boolean}} [of] `watching`: nothing is sent
 */
export function devicePickers(devices, onSettings, { watching = false } = {}) {
  const isWanted = (/** @type {'camera' | 'microphone'} */ kind) => devices.tracks[kind] !== null || devices.problems[kind] !== null;
  const camera = picker('select-camera', t('preview.camera'), (id) => {
    devices.chosen.camera = id;
    onSettings({ camera: id });
    if (isWanted('camera')) void devices.openCamera();
  });
  const microphone = picker('select-microphone', t('preview.microphone'), (id) => {
    devices.chosen.microphone = id;
    onSettings({ microphone: id });
    if (isWanted('microphone')) void devices.openMicrophone();
  });
  const speaker = picker('select-speaker', t('preview.speaker'), (id) => {
    devices.chosen.speaker = id;
    onSettings({ speaker: id });
  });
  const update = async () => {
    const { cameras, microphones, speakers } = await devices.list();
    camera.show(cameras, usedOrAsked(devices, 'camera'));
    microphone.show(microphones, usedOrAsked(devices, 'microphone'));
    speaker.show(speakers, devices.chosen.speaker);
    // Some browsers play everything where the system says.
    speaker.element.hidden = speakers.length === 0 || !('setSinkId' in HTMLMediaElement.prototype);
  };
  const own = watching ? [] : [camera.element, microphone.element];
  return { element: el('div', { class: 'pickers' }, ...own, speaker.element), update };
}

/**
 * The device in use; while another one is being opened, that one.
 * @param {Devices} devices
 * @param {'camera' | 'microphone'} kind
 */
export function usedOrAsked({ tracks, opening, chosen }, kind) {
  const used = tracks[kind]?.getSettings().deviceId;
  return (opening[kind] && chosen[kind]) || used || chosen[kind];
}

/**
 * @param {string} id
 * @param {string} label
 * @param {(deviceId: string) => void} onChoice
 */
function picker(id, label, onChoice) {
  const select = el('select', { id, 'data-testid': id, onchange: () => onChoice(select.value) });
  let shown = '';
  return {
    element: el('div', { class: 'field' }, el('label', { for: id }, label), select),
    /**
     * @param {MediaDeviceInfo[]} found
     * @param {string | undefined} current
     */
    show(found, current) {
      const key = JSON.stringify([found.map(({ deviceId, label: name }) => [deviceId, name]), current]);
      if (key === shown) {
        // What the reader chose since may not have opened.
        if (current && select.value !== current && found.some(({ deviceId }) => deviceId === current)) select.value = current;
        return;
      }
      shown = key;
      const options = found.map((device, index) => {
        const name = device.label || t('preview.unnamed_device', { number: index + 1 });
        return el('option', { value: device.deviceId, selected: device.deviceId === current }, name);
      });
      if (options.length === 0) options.push(el('option', { value: '' }, t('preview.default_device')));
      select.replaceChildren(...options);
      select.disabled = found.length === 0;
    },
  };
}
