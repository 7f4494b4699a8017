// Camera, microphone and speaker of the check: each starts with a click and never before.

import { notApplicable } from '../check/finding.js';
import { explainCamera, explainDeviceProblem, explainMicrophone, explainSpeaker } from '../check/media.js';
import { t } from '../texts/texts.js';
import { attach, el, setText } from './dom.js';
import { smallButton } from './parts.js';
import { shownMeter } from './preview.js';

/** @import { Devices } from '../call/devices.js' */
/** @import { Check } from '../check/check.js' */

/** How long a camera has for its first picture, and somebody for saying something, in milliseconds. */
const PICTURE_LIMIT_MS = 5000;
/** How often a picture is looked at until then, in milliseconds. */
const PICTURE_INTERVAL_MS = 200;
/** Side of the small copy that is looked at, in pixels, and how bright one of them is at least if there is anything to see, of 255. */
const SAMPLE_SIDE = 16;
const BRIGHT = 24;
const SILENCE_LIMIT_MS = 10_000;
/** From here on it is a sound, on the meter's scale of 0 to 1. */
const AUDIBLE = 0.3;
/** The tone: length in seconds, pitch in hertz, loudness. */
const TONE = { seconds: 1.2, hertz: 440, gain: 0.2 };

/**
 * @param {{check: Check, devices: Devices}} options
 */
export function createDeviceChecks({ check, devices }) {
  const camera = cameraCheck(check, devices);
  const microphone = microphoneCheck(check, devices);
  const speaker = speakerCheck(check);
  return {
    controls: { camera: camera.element, microphone: microphone.element, speaker: speaker.element },
    update() {
      camera.update();
      microphone.update();
    },
    dispose() {
      camera.dispose();
      microphone.dispose();
      speaker.dispose();
    },
  };
}

/**
 * @param {Check} check
 * @param {Devices} devices
 */
function cameraCheck(check, devices) {
  const video = el('video', { autoplay: true, playsinline: true, class: 'check-picture mirrored', 'aria-label': t('preview.self') });
  video.muted = true;
  let timer = 0;
  const toggle = smallButton('check-camera', '', () => {
    if (devices.tracks.camera) devices.close('camera');
    else void devices.openCamera().then(opened);
  });
  const opened = () => {
    const problem = devices.problems.camera;
    if (problem) return check.set('camera', explainDeviceProblem('camera', problem));
    const until = performance.now() + PICTURE_LIMIT_MS;
    // A camera needs a moment until its picture is bright; one with a cover sends a dark one for good.
    const look = () => {
      const dark = video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA || isDark(video);
      if (dark && performance.now() < until) {
        timer = window.setTimeout(look, PICTURE_INTERVAL_MS);
        return;
      }
      const frames = video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA ? 0 : 1;
      check.set('camera', explainCamera({ width: video.videoWidth, height: video.videoHeight, frames, dark }));
    };
    look();
    return undefined;
  };
  return {
    element: el('div', { class: 'check-try' }, toggle, video),
    update() {
      const on = devices.tracks.camera !== null;
      // One that was turned off owes no picture.
      if (!on) clearTimeout(timer);
      video.hidden = !on;
      attach(video, on ? devices.stream : null);
      setText(toggle, on ? t('check.camera_off') : t('check.camera_try'));
    },
    dispose() {
      clearTimeout(timer);
      video.srcObject = null;
    },
  };
}

/** @param {HTMLVideoElement} video */
function isDark(video) {
  const canvas = el('canvas', { width: SAMPLE_SIDE, height: SAMPLE_SIDE });
  const context = canvas.getContext('2d', { willReadFrequently: true });
  if (!context) return false;
  context.drawImage(video, 0, 0, SAMPLE_SIDE, SAMPLE_SIDE);
  const { data } = context.getImageData(0, 0, SAMPLE_SIDE, SAMPLE_SIDE);
  return data.every((value, index) => index % 4 === 3 || value < BRIGHT);
}

/**
 * @param {Check} check
 * @param {Devices} devices
 */
function microphoneCheck(check, devices) {
  const bar = el('div', { class: 'level-bar' });
  const level = el(
    'div',
    { class: 'level check-level', role: 'meter', 'aria-label': t('preview.level'), 'aria-valuemin': 0, 'aria-valuemax': 100, 'aria-valuenow': 0 },
    bar,
  );
  const invitation = el('p', { class: 'hint' }, t('check.microphone_listening'));
  let timer = 0;
  let listening = false;
  const decide = (/** @type {boolean} */ heard) => {
    listening = false;
    clearTimeout(timer);
    check.set('microphone', explainMicrophone(heard));
  };
  const { meter, dispose } = shownMeter(devices, (value) => {
    bar.style.setProperty('--level', value.toFixed(3));
    level.setAttribute('aria-valuenow', String(Math.round(value * 100)));
    if (listening && value > AUDIBLE) decide(true);
  });
  const toggle = smallButton('check-microphone', '', () => {
    if (devices.tracks.microphone) {
      listening = false;
      clearTimeout(timer);
      devices.close('microphone');
    } else void devices.openMicrophone().then(opened);
  });
  const opened = () => {
    const problem = devices.problems.microphone;
    if (problem) return check.set('microphone', explainDeviceProblem('microphone', problem));
    meter.update();
    if (!meter.works) return check.set('microphone', notApplicable({ key: 'check.sound_unable' }));
    listening = true;
    invitation.hidden = false;
    timer = window.setTimeout(() => decide(false), SILENCE_LIMIT_MS);
    return undefined;
  };
  return {
    element: el('div', { class: 'check-try' }, toggle, level, invitation),
    update() {
      const on = devices.tracks.microphone !== null;
      meter.update();
      level.hidden = !meter.works;
      invitation.hidden = !on || !listening;
      setText(toggle, on ? t('check.microphone_off') : t('check.microphone_try'));
    },
    dispose() {
      clearTimeout(timer);
      dispose();
    },
  };
}

/** @param {Check} check */
function speakerCheck(check) {
  /** @type {AudioContext | null} */
  let context = null;
  const answer = (/** @type {boolean} */ heard) => {
    check.set('speaker', explainSpeaker(heard));
    question.hidden = true;
    play.focus();
  };
  const yes = smallButton('check-heard', t('check.speaker_yes'), () => answer(true));
  const no = smallButton('check-not-heard', t('check.speaker_no'), () => answer(false));
  const question = el('div', { class: 'check-question', role: 'group', 'aria-label': t('check.speaker_question'), hidden: true }, el('span', {}, t('check.speaker_question')), yes, no);
  const play = smallButton('check-speaker', t('check.speaker_try'), () => {
    try {
      context ??= new AudioContext();
      tone(context);
      question.hidden = false;
    } catch {
      check.set('speaker', notApplicable({ key: 'check.sound_unable' }));
    }
  });
  return { element: el('div', { class: 'check-try' }, play, question), dispose: () => void context?.close() };
}

/**
 * A tone that comes and goes softly: a sudden one clicks.
 * @param {AudioContext} context
 */
function tone(context) {
  const { seconds, hertz, gain } = TONE;
  const now = context.currentTime;
  const volume = new GainNode(context, { gain: 0 });
  volume.gain.linearRampToValueAtTime(gain, now + 0.1);
  volume.gain.setValueAtTime(gain, now + seconds - 0.2);
  volume.gain.linearRampToValueAtTime(0, now + seconds);
  const source = new OscillatorNode(context, { frequency: hertz });
  source.connect(volume).connect(context.destination);
  source.start();
  source.stop(now + seconds);
}
