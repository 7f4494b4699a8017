// Before a call: how one looks and sounds, and what the others will see. Nothing here can keep anybody out.

import { cleanName, NAME_CHARACTERS } from '../protocol/room.js';
import { levelMeter } from '../call/level.js';
import { t } from '../texts/texts.js';
import { attach, el, setAttributes, setText } from './dom.js';
import { icon } from './icons.js';
import { devicePickers } from './pickers.js';
import { checkLink, explainProblem, languageSwitch, wordmark } from './parts.js';

/** @import { DeviceProblem, Devices } from '../call/devices.js' */
/** @import { View } from './parts.js' */
/** @import { Settings } from '../settings.js' */

/**
 * @param {object} options
 * @param {string} options.room
 * @param {Devices} options.devices
 * @param {boolean} options.watch whether one only watches
 * @param {Settings} options.settings
 * @param {(changes: Partial<Settings>) => void} options.onSettings
 * @param {() => void} options.onJoin
 * @param {(language: import('../texts/texts.js').Language) => void} options.onLanguage
 * @returns {View}
 */
export function previewView({ room, devices, watch, settings, onSettings, onJoin, onLanguage }) {
  const mirror = selfMirror(devices, onSettings);
  const pickers = devicePickers(devices, onSettings);
  const problems = el('div', { class: 'problems', role: 'status', 'data-testid': 'device-problems' });
  const joinLabel = el('span', {});
  const name = el('input', {
    id: 'name-input',
    'data-testid': 'name-input',
    autocomplete: 'nickname',
    maxlength: NAME_CHARACTERS,
    value: settings.name,
    'aria-describedby': 'name-hint',
    oninput: () => onSettings({ name: cleanName(name.value) }),
  });
  const relayOnly = el('input', {
    type: 'checkbox',
    role: 'switch',
    id: 'relay-only',
    'data-testid': 'relay-only',
    'aria-describedby': 'relay-hint',
    onchange: () => onSettings({ relayOnly: relayOnly.checked }),
  });
  relayOnly.checked = settings.relayOnly;
  const form = el(
    'form',
    {
      class: 'preview-form',
      onsubmit: (event) => {
        event.preventDefault();
        onJoin();
      },
    },
    el('h1', { tabindex: -1 }, watch ? t('preview.watch_title') : t('preview.title')),
    el('p', { class: 'preview-room' }, t('preview.room', { room })),
    el(
      'div',
      { class: 'field' },
      el('label', { for: 'name-input' }, t('preview.name')),
      name,
      el('p', { class: 'hint', id: 'name-hint' }, t('preview.name_hint')),
    ),
    watch ? el('p', { class: 'hint' }, t('preview.watch_hint')) : pickers.element,
    el(
      'div',
      { class: 'switch-field' },
      relayOnly,
      el('label', { for: 'relay-only' }, t('preview.relay_only')),
      el('p', { class: 'hint', id: 'relay-hint' }, t('preview.relay_only_hint')),
    ),
    el('button', { class: 'button primary large', 'data-testid': 'join' }, joinLabel),
  );
  const element = el(
    'div',
    { class: 'page preview' },
    el('header', { class: 'page-head' }, wordmark(), languageSwitch(onLanguage)),
    el('main', { class: 'preview-main' }, watch ? null : el('div', { class: 'preview-picture' }, mirror.element, problems), form),
  );
  const update = () => {
    const { microphone, camera } = devices.tracks;
    if (watch) setText(joinLabel, t('preview.watch'));
    else setText(joinLabel, microphone || camera || isOpening(devices) ? t('preview.join') : t('preview.join_without'));
    mirror.update();
    pickers.update();
    showProblems(problems, devices, mirror.focus);
  };
  update();
  return { element, update, dispose: mirror.dispose };
}

/** @param {Devices} devices */
function isOpening(devices) {
  return devices.opening.microphone || devices.opening.camera;
}

/**
 * One's own picture with its two buttons and the level of the microphone.
 * @param {Devices} devices
 * @param {(changes: Partial<Settings>) => void} onSettings
 */
function selfMirror(devices, onSettings) {
  const video = el('video', { autoplay: true, playsinline: true, class: 'mirrored', 'aria-label': t('preview.self') });
  video.muted = true;
  const off = el('p', { class: 'mirror-off' });
  const bar = el('div', { class: 'level-bar' });
  const level = el('div', {
    class: 'level',
    role: 'meter',
    'aria-label': t('preview.level'),
    'aria-valuemin': 0,
    'aria-valuemax': 100,
    'data-testid': 'level',
  }, bar);
  const microphone = el('button', { type: 'button', class: 'round', 'data-testid': 'toggle-microphone' });
  microphone.addEventListener('click', () => {
    if (devices.tracks.microphone) devices.setMuted(!devices.muted);
    else void devices.openMicrophone();
  });
  const camera = el('button', { type: 'button', class: 'round', 'data-testid': 'toggle-camera' });
  camera.addEventListener('click', () => {
    onSettings({ cameraOff: devices.tracks.camera !== null });
    if (devices.tracks.camera) devices.close('camera');
    else void devices.openCamera();
  });
  const { meter, dispose } = shownMeter(devices, (value) => {
    bar.style.setProperty('--level', value.toFixed(3));
    level.setAttribute('aria-valuenow', String(Math.round(value * 100)));
  });
  const update = () => {
    const hasCamera = devices.tracks.camera !== null;
    const { audio } = devices.media;
    video.hidden = !hasCamera;
    attach(video, hasCamera ? devices.stream : null);
    off.hidden = hasCamera;
    setText(off, devices.opening.camera ? t('preview.camera_asking') : t('preview.camera_off'));
    showToggle(microphone, audio, audio ? 'microphone' : 'microphoneOff', audio ? t('call.microphone_off') : t('call.microphone_on'));
    showToggle(camera, hasCamera, hasCamera ? 'camera' : 'cameraOff', hasCamera ? t('call.camera_off') : t('call.camera_on'));
    meter.update();
    level.hidden = !meter.works;
  };
  const element = el('div', { class: 'mirror' }, video, off, el('div', { class: 'mirror-controls' }, microphone, level, camera));
  const focus = (/** @type {'camera' | 'microphone'} */ kind) => (kind === 'camera' ? camera : microphone).focus();
  return { element, update, focus, dispose };
}

/**
 * A meter that follows the microphone as it comes, changes and goes.
 * @param {Devices} devices
 */
export function liveMeter(devices) {
  /** @type {ReturnType<typeof levelMeter>} */
  let meter = null;
  /** @type {MediaStreamTrack | null} */
  let metered = null;
  return {
    /** Whether there is a microphone, and its level can be told. */
    get works() {
      return meter !== null;
    },
    level: () => (meter && !devices.muted ? meter.level() : 0),
    update() {
      if (metered === devices.tracks.microphone) return;
      meter?.close();
      metered = devices.tracks.microphone;
      meter = metered ? levelMeter(new MediaStream([metered])) : null;
    },
    dispose: () => meter?.close(),
  };
}

/**
 * A meter whose level is shown: measured for each picture that the browser draws.
 * @param {Devices} devices
 * @param {(level: number) => void} onLevel
 */
export function shownMeter(devices, onLevel) {
  const meter = liveMeter(devices);
  let frame = 0;
  const draw = () => {
    onLevel(meter.level());
    frame = requestAnimationFrame(draw);
  };
  frame = requestAnimationFrame(draw);
  const dispose = () => {
    cancelAnimationFrame(frame);
    meter.dispose();
  };
  return { meter, dispose };
}

/**
 * @param {HTMLButtonElement} button
 * @param {boolean} on
 * @param {import('./icons.js').IconName} symbol
 * @param {string} label
 */
export function showToggle(button, on, symbol, label) {
  if (button.dataset.symbol !== symbol) {
    button.dataset.symbol = symbol;
    button.querySelector('.icon')?.remove();
    button.prepend(icon(symbol));
  }
  setAttributes(button, { 'data-on': on ? 'true' : 'false', 'aria-label': label, title: label });
}

/**
 * @param {HTMLElement} box
 * @param {Devices} devices
 * @param {(kind: 'camera' | 'microphone') => void} focusToggle
 */
function showProblems(box, devices, focusToggle) {
  const { camera, microphone } = devices.problems;
  const key = `${camera} ${microphone}`;
  if (box.dataset.shown === key) return;
  box.dataset.shown = key;
  const retry = /** @type {HTMLElement | null} */ (box.querySelector('button:focus'));
  const rows = [];
  if (camera) rows.push(problemRow('camera', camera, () => void devices.openCamera()));
  if (microphone) rows.push(problemRow('microphone', microphone, () => void devices.openMicrophone()));
  if (rows.length > 0) rows.push(el('p', { class: 'problem-note' }, t('problem.join_anyway'), ' ', checkLink()));
  box.replaceChildren(...rows);
  if (!retry) return;
  // Whoever tried again is not to lose their place: where there is no problem any more, the device's own button is next.
  const kind = retry.dataset.retry === 'camera' ? 'camera' : 'microphone';
  const same = /** @type {HTMLElement | null} */ (box.querySelector(`[data-retry="${kind}"]`));
  if (same) same.focus();
  else focusToggle(kind);
}

/**
 * @param {'camera' | 'microphone'} kind
 * @param {DeviceProblem} problem
 * @param {() => void} onRetry
 */
function problemRow(kind, problem, onRetry) {
  const retry = el('button', { type: 'button', class: 'button small', 'data-retry': kind, onclick: onRetry }, t('action.retry'));
  return el('div', { class: 'problem' }, icon('warning'), el('p', {}, explainProblem(kind, problem)), retry);
}
