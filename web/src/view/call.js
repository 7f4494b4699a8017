// The call: stage, controls, chat, and what people are told while it runs.

import { t } from '../texts/texts.js';
import { createChat } from './chat.js';
import { createConnectionPanel } from './connection.js';
import { el, setAttributes, setText } from './dom.js';
import { createFileSender } from './file-drop.js';
import { createFileCards } from './files.js';
import { icon, mark } from './icons.js';
import { createNotices } from './notices.js';
import { checkLink, copyAndConfirm, deviceName, explainProblem, inviteField, languageSwitch } from './parts.js';
import { liveMeter, showToggle } from './preview.js';
import { createStage } from './stage.js';

/** @import { Call, Notice } from '../call/call.js' */
/** @import { DeviceKind, DeviceProblem, Devices } from '../call/devices.js' */
/** @import { Destinations } from '../call/files/destination.js' */
/** @import { Settings } from '../settings.js' */
/** @import { View } from './parts.js' */

/** How often loudness is looked at, in milliseconds. */
const SPEAKING_INTERVAL_MS = 250;

/**
 * @typedef {View & {notify: (notice: Notice) => void, deviceLost: (kind: DeviceKind) => void}} CallView
 *
 * @param {object} options
 * @param {Call} options.call
 * @param {Devices} options.devices
 * @param {string} options.selfName
 * @param {string} options.room
 * @param {string} options.link
 * @param {Destinations} options.destinations where received files go
 * @param {Settings} options.settings as they are now
 * @param {(changes: Partial<Settings>) => void} options.onSettings
 * @param {() => void} options.onLeave
 * @param {(language: import('../texts/texts.js').Language) => void} options.onLanguage
 * @returns {CallView}
 */
export function callView({ call, devices, selfName, room, link, destinations, settings, onSettings, onLeave, onLanguage }) {
  let ownLevel = 0;
  let chatOpen = false;
  let readCount = call.chat.length;
  const notices = createNotices();
  const cards = createFileCards({ call, destinations, onNotice: notices.show });
  const sender = createFileSender({ call, onNotice: notices.show, onSent: () => !chatOpen && setChatOpen(true) });
  const meter = liveMeter(devices, (level) => {
    ownLevel = level;
  });
  const sound = soundBanner(() => stage.startSound());
  const stage = createStage({
    call,
    devices,
    selfName,
    ownLevel: () => ownLevel,
    mode: () => settings.layout,
    onSoundBlocked: sound.show,
    onDetails: (id) => connection.open(id),
  });
  const connection = createConnectionPanel({ call });
  const setChatOpen = (/** @type {boolean} */ open) => {
    chatOpen = open;
    update();
    if (open) chat.focus();
    else controls.focusChat();
  };
  const chat = createChat({ call, cards, sendFile: [sender.input, sender.button], onClose: () => setChatOpen(false) });
  const controls = createControls({ devices, onLeave, onChat: () => setChatOpen(!chatOpen) });
  const bannerWords = el('span', {});
  const why = checkLink();
  const banner = el('p', { class: 'banner', role: 'status', 'data-testid': 'signaling-banner' }, bannerWords, why);
  const alone = el(
    'section',
    { class: 'alone', 'data-testid': 'alone' },
    el('h2', {}, t('call.alone')),
    el('p', {}, t('call.alone_more')),
    inviteField(link),
  );
  const entering = el('p', { class: 'entering', role: 'status' }, el('span', { class: 'spinner' }), t('call.entering'));
  const inviteLabel = el('span', {}, t('call.invite'));
  const invite = el('button', { type: 'button', class: 'button small', 'data-testid': 'invite' }, icon('invite'), inviteLabel);
  // Where the page may not copy, the reader can.
  invite.addEventListener('click', () => void copyAndConfirm(link, inviteLabel, () => notices.show(link, 'problem')));
  const layout = el('button', {
    type: 'button',
    class: 'round quiet',
    'data-testid': 'layout',
    onclick: () => {
      onSettings({ layout: settings.layout === 'grid' ? 'speaker' : 'grid' });
      update();
    },
  });
  const element = el(
    'div',
    { class: 'call' },
    el(
      'header',
      { class: 'call-head' },
      mark(),
      el('h1', { tabindex: -1 }, room),
      el('div', { class: 'call-head-actions' }, layout, languageSwitch(onLanguage), invite),
    ),
    el(
      'main',
      { class: 'call-main' },
      el('div', { class: 'call-stage' }, banner, sound.element, entering, stage.element, alone, notices.element, connection.element),
      chat.element,
    ),
    el('footer', {}, controls.element),
    sender.zone,
  );
  sender.receiveDrops(element);

  const problems = problemWatch(devices, (text) => notices.show(text, 'problem'));
  const update = () => {
    const text = bannerText(call);
    setText(bannerWords, text);
    // Once inside, the server was fine; it is away, and so is that page.
    why.hidden = call.entered;
    banner.hidden = text === '';
    entering.hidden = call.entered || text !== '';
    alone.hidden = !call.entered || call.participants.length > 0;
    if (chatOpen) readCount = call.chat.length;
    chat.element.hidden = !chatOpen;
    element.dataset.chat = chatOpen ? 'open' : 'closed';
    // With less than two others there is nothing to choose.
    layout.hidden = call.participants.length < 2;
    const grid = settings.layout === 'grid';
    showToggle(layout, true, grid ? 'speaker' : 'grid', grid ? t('call.layout_speaker') : t('call.layout_grid'));
    stage.update();
    connection.update();
    chat.update();
    controls.update(chatOpen, call.chat.length - readCount + cards.waiting);
    meter.update();
    problems();
  };
  const speaking = setInterval(() => stage.update(), SPEAKING_INTERVAL_MS);
  update();
  return {
    element,
    update,
    notify(notice) {
      if (notice.kind === 'joined') notices.show(t('notice.joined', { name: notice.name || t('call.guest') }), 'news');
      else if (notice.kind === 'left') notices.show(t('notice.left', { name: notice.name || t('call.guest') }), 'news');
      else if (notice.kind === 'back') notices.show(t('signaling.back'), 'news');
      else if (notice.kind === 'file') notices.show(t('notice.file', { name: notice.name || t('call.guest'), file: notice.file }), 'news');
      else if (!chatOpen) {
        const { name, text } = notice.message;
        notices.show(t('notice.chat', { name: name || t('call.guest'), text: text.slice(0, 200) }), 'news');
      }
    },
    deviceLost: (kind) => {
      // Sharing is often ended in the browser's own bar; that is no loss.
      if (kind !== 'screen') notices.show(capitalised(t('problem.lost', { device: t(deviceName[kind]) })), 'problem');
    },
    dispose() {
      clearInterval(speaking);
      meter.dispose();
      stage.dispose();
    },
  };
}

/** @param {string} text */
function capitalised(text) {
  return text[0].toUpperCase() + text.slice(1);
}

/** @param {Call} call */
function bannerText(call) {
  if (call.signalingState === 'open') return '';
  if (call.entered) return call.participants.length > 0 ? t('signaling.lost') : t('signaling.lost_alone');
  return call.attempts > 0 ? t('signaling.unreachable') : '';
}

/**
 * Tells each new problem of a device once.
 * @param {Devices} devices
 * @param {(text: string) => void} onProblem
 */
function problemWatch(devices, onProblem) {
  /** @type {Record<DeviceKind, DeviceProblem | null>} */
  const told = { ...devices.problems };
  return () => {
    for (const kind of /** @type {const} */ (['microphone', 'camera', 'screen'])) {
      const problem = devices.problems[kind];
      // Whoever closes the question about the screen has decided not to share.
      const chosen = kind === 'screen' && (problem === 'denied' || problem === 'dismissed');
      if (problem && problem !== told[kind] && !chosen) onProblem(explainProblem(kind, problem));
      told[kind] = problem;
    }
  };
}

/** @param {() => void} onStart */
function soundBanner(onStart) {
  const start = el('button', { type: 'button', class: 'button small primary', 'data-testid': 'start-sound' }, icon('sound'), t('call.sound_start'));
  const element = el('div', { class: 'banner sound', role: 'status', hidden: true }, el('p', {}, t('call.sound_blocked')), start);
  start.addEventListener('click', () => {
    element.hidden = true;
    onStart();
  });
  return {
    element,
    show: () => {
      element.hidden = false;
    },
  };
}

/**
 * @param {object} options
 * @param {Devices} options.devices
 * @param {() => void} options.onLeave
 * @param {() => void} options.onChat
 */
function createControls({ devices, onLeave, onChat }) {
  const microphone = control('toggle-microphone', () => {
    if (devices.tracks.microphone) devices.setMuted(!devices.muted);
    else void devices.openMicrophone();
  });
  const camera = control('toggle-camera', () => {
    if (devices.tracks.camera) devices.close('camera');
    else void devices.openCamera();
  });
  const screen = control('share-screen', () => {
    if (devices.tracks.screen) devices.close('screen');
    else void devices.shareScreen();
  });
  screen.hidden = !devices.canShareScreen;
  const chat = control('toggle-chat', onChat);
  const unreadBadge = el('span', { class: 'badge', 'aria-hidden': 'true', hidden: true });
  chat.append(unreadBadge);
  const leave = el(
    'button',
    { type: 'button', class: 'round leave', 'aria-label': t('call.leave'), title: t('call.leave'), 'data-testid': 'leave', onclick: onLeave },
    icon('leave'),
  );
  const element = el('div', { class: 'controls', role: 'toolbar', 'aria-label': t('call.controls') }, microphone, camera, screen, chat, leave);
  return {
    element,
    focusChat: () => chat.focus(),
    /**
     * @param {boolean} chatOpen
     * @param {number} unread
     */
    update(chatOpen, unread) {
      const { audio, video, screen: sharing } = devices.media;
      showToggle(microphone, audio, audio ? 'microphone' : 'microphoneOff', audio ? t('call.microphone_off') : t('call.microphone_on'));
      showToggle(camera, video, video ? 'camera' : 'cameraOff', video ? t('call.camera_off') : t('call.camera_on'));
      showToggle(screen, !sharing, 'screen', sharing ? t('call.screen_off') : t('call.screen_on'));
      screen.classList.toggle('active', sharing);
      showToggle(chat, true, 'chat', unread > 0 ? t('call.chat_unread', { count: unread }) : t('call.chat'));
      setAttributes(chat, { 'aria-expanded': String(chatOpen) });
      chat.classList.toggle('active', chatOpen);
      setText(unreadBadge, String(unread));
      unreadBadge.hidden = unread === 0;
    },
  };
}

/**
 * @param {string} id
 * @param {() => void} onClick
 */
function control(id, onClick) {
  return el('button', { type: 'button', class: 'round', 'data-testid': id, onclick: onClick });
}
