// Camera, microphone and speaker to choose from.

import { t } from '../texts/texts.js';
import { el } from './dom.js';

/** @import { Devices } from '../call/devices.js' */
/** @import { Settings } from '../settings.js' */

/**
 * Which devices are used; in the preview and during the call.
 * @param {Devices} devices
 * @param {(changes: Partial<Settings>) => void} onSettings
 */
export function devicePickers(devices, onSettings) {
  const camera = picker('select-camera', t('preview.camera'), (id) => {
    devices.chosen.camera = id;
    onSettings({ camera: id });
    void devices.openCamera();
  });
  const microphone = picker('select-microphone', t('preview.microphone'), (id) => {
    devices.chosen.microphone = id;
    onSettings({ microphone: id });
    void devices.openMicrophone();
  });
  const speaker = picker('select-speaker', t('preview.speaker'), (id) => {
    devices.chosen.speaker = id;
    onSettings({ speaker: id });
  });
  const update = async () => {
    const { cameras, microphones, speakers } = await devices.list();
    camera.show(cameras, devices.tracks.camera?.getSettings().deviceId ?? devices.chosen.camera);
    microphone.show(microphones, devices.tracks.microphone?.getSettings().deviceId ?? devices.chosen.microphone);
    speaker.show(speakers, devices.chosen.speaker);
    // Some browsers play everything where the system says.
    speaker.element.hidden = speakers.length === 0 || !('setSinkId' in HTMLMediaElement.prototype);
  };
  return { element: el('div', { class: 'pickers' }, camera.element, microphone.element, speaker.element), update };
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
      if (key === shown) return;
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
