// Which screen is shown, and what connects the call to the browser.

import { Call } from './call/call.js';
import { Devices } from './call/devices.js';
import { Destinations } from './call/files/destination.js';
import { newSha256 } from './call/files/sha256.js';
import { debugInterface } from './debug.js';
import { newRoomName, roomFromPath, roomPath } from './protocol/room.js';
import { SignalingClient, SUBPROTOCOL } from './protocol/signaling.js';
import { systemClock } from './protocol/types.js';
import { loadSettings, readQuery, readToken, saveSettings } from './settings.js';
import { chooseLanguage, setLanguage, t } from './texts/texts.js';
import { callView } from './view/call.js';
import { endView } from './view/end.js';
import { landingView } from './view/landing.js';
import { previewView } from './view/preview.js';

/** @import { Settings } from './settings.js' */
/** @import { Language } from './texts/texts.js' */
/** @import { CallView } from './view/call.js' */
/** @import { View } from './view/parts.js' */

const query = readQuery(location.search);
const storage = availableStorage();
const settings = loadSettings(storage);
const instance = randomId();
const destinations = new Destinations(
  {
    get showSaveFilePicker() {
      return /** @type {any} */ (window).showSaveFilePicker?.bind(window);
    },
    storage: navigator.storage,
    locks: navigator.locks,
  },
  instance,
);
const app = document.getElementById('app') ?? document.body;

/** @type {View | null} */ let view = null;
/** Builds the present screen anew, in the present language. */ let rebuild = showLanding;
/** @type {Call | null} */ let call = null;
/** @type {Devices | null} */ let devices = null;
/** Ends the check, if one is shown. */ let closeCheck = () => {};
let updateScheduled = false;

function availableStorage() {
  try {
    return localStorage;
  } catch {
    return undefined;
  }
}

function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** @param {Partial<Settings>} changes */
function remember(changes) {
  Object.assign(settings, changes);
  saveSettings(storage, settings);
}

/** @param {Language} language */
function changeLanguage(language) {
  remember({ language });
  applyLanguage(language);
  rebuild();
}

/** @param {Language} language */
function applyLanguage(language) {
  setLanguage(language);
  document.documentElement.lang = language;
}

/**
 * @param {View} next
 * @param {string} [title]
 */
function show(next, title) {
  const first = view === null;
  view?.dispose?.();
  view = next;
  app.replaceChildren(next.element);
  document.title = title ? `${title} · ${t('app.title')}` : t('app.title');
  // A reader of a screen hears where they are; on the first screen the browser tells by itself.
  if (!first) next.element.querySelector('h1')?.focus();
}

/** Several changes in one turn are shown once. */
function scheduleUpdate() {
  if (updateScheduled) return;
  updateScheduled = true;
  queueMicrotask(() => {
    updateScheduled = false;
    if (call?.refusal) endCall(call.refusal);
    else view?.update?.();
  });
}

/** @param {string} path */
function go(path) {
  history.pushState(null, '', path + location.search);
  route();
}

function route() {
  leaveCall();
  closeCheck();
  if (location.pathname === '/check') {
    void showCheck();
    return;
  }
  const room = roomFromPath(location.pathname);
  if (room === null) showLanding();
  else if (typeof RTCPeerConnection === 'undefined') showEnd('unsupported', room);
  else void prepare(room, query.autojoin);
}

function showLanding() {
  rebuild = showLanding;
  show(
    landingView({
      onCreate: () => go(roomPath(newRoomName((bytes) => crypto.getRandomValues(bytes)))),
      onJoin: (room) => go(roomPath(room)),
      onLanguage: changeLanguage,
    }),
  );
}

async function showCheck() {
  const { openCheck } = await import('./check-page.js');
  if (location.pathname !== '/check') return;
  const opened = openCheck({ socketUrl: signalingUrl(), onChange: scheduleUpdate });
  closeCheck = () => {
    opened.close();
    closeCheck = () => {};
  };
  rebuild = () => show(opened.view(changeLanguage), t('check.title'));
  rebuild();
}

/**
 * Opens the devices, and shows the preview unless the reader wants straight in.
 * @param {string} room
 * @param {boolean} straightIn
 */
async function prepare(room, straightIn) {
  const opened = new Devices({
    mediaDevices: navigator.mediaDevices,
    newStream: () => new MediaStream(),
    onChange: () => {
      call?.devicesChanged();
      scheduleUpdate();
    },
    onLost: (kind) => /** @type {Partial<CallView> | null} */ (view)?.deviceLost?.(kind),
  });
  devices = opened;
  const { camera, microphone, speaker } = settings;
  opened.chosen = { camera: camera ?? undefined, microphone: microphone ?? undefined, speaker: speaker ?? undefined };
  opened.noiseSuppression = settings.noiseSuppression;
  opened.setMuted(settings.pushToTalk);
  // One after the other: two questions at once confuse, and refusing one must not refuse the other.
  const open = async () => {
    if (query.watch) return;
    if (query.audio) await opened.openMicrophone();
    if (query.video && !settings.cameraOff) await opened.openCamera();
  };
  if (straightIn) {
    await open();
    if (devices === opened) enter(room, opened);
  } else {
    showPreview(room, opened);
    await open();
  }
}

/**
 * @param {string} room
 * @param {Devices} opened
 */
function showPreview(room, opened) {
  rebuild = () => showPreview(room, opened);
  show(
    previewView({
      room,
      devices: opened,
      watch: query.watch,
      settings: { ...settings, name: query.name ?? settings.name, relayOnly: query.relayOnly ?? settings.relayOnly },
      onSettings: (changes) => {
        if (changes.name !== undefined) query.name = null;
        if (changes.relayOnly !== undefined) query.relayOnly = null;
        remember(changes);
      },
      onJoin: () => enter(room, opened),
      onLanguage: changeLanguage,
    }),
    t('preview.room', { room }),
  );
}

/**
 * @param {string} room
 * @param {Devices} opened
 */
function enter(room, opened) {
  const name = query.name ?? settings.name;
  const entered = new Call({
    createSignaling: (handlers) =>
      new SignalingClient({
        ...handlers,
        connect: () => new WebSocket(signalingUrl(), SUBPROTOCOL),
        hello: { type: 'hello', room, name, role: query.watch ? 'viewer' : 'participant', media: opened.media, ...readToken(location.hash) },
        clock: systemClock,
        random: Math.random,
      }),
    createConnection: (configuration) => new RTCPeerConnection(configuration),
    newStream: () => new MediaStream(),
    devices: opened,
    preferences: () => settings,
    watch: query.watch,
    relayOnly: query.relayOnly ?? settings.relayOnly,
    instance,
    newId: randomId,
    newHash: newSha256,
    clock: systemClock,
    onChange: scheduleUpdate,
    onNotice: (notice) => /** @type {Partial<CallView> | null} */ (view)?.notify?.(notice),
  });
  call = entered;
  showCall(room, name, opened, entered);
  entered.enter();
}

/**
 * @param {string} room
 * @param {string} name
 * @param {Devices} opened
 * @param {Call} entered
 */
function showCall(room, name, opened, entered) {
  rebuild = () => showCall(room, name, opened, entered);
  show(
    callView({
      call: entered,
      devices: opened,
      selfName: name,
      room,
      link: new URL(roomPath(room), location.href).href,
      watchLink: new URL(`${roomPath(room)}?watch=1`, location.href).href,
      destinations,
      settings,
      onSettings: (changes) => {
        remember(changes);
        entered.preferencesChanged();
      },
      onLeave: () => endCall('left'),
      onLanguage: changeLanguage,
    }),
    t('preview.room', { room }),
  );
}

function signalingUrl() {
  const url = new URL('/signal', location.href);
  url.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
  return url;
}

/** @param {string} reason `left`, or the server's error code */
function endCall(reason) {
  leaveCall();
  showEnd(reason, roomFromPath(location.pathname) ?? '');
}

function leaveCall() {
  call?.leave();
  call = null;
  devices?.closeAll();
  devices = null;
}

/**
 * @param {string} reason
 * @param {string} room
 */
function showEnd(reason, room) {
  rebuild = () => showEnd(reason, room);
  show(endView({ reason, onAgain: () => void prepare(room, false), onHome: () => go('/'), onLanguage: changeLanguage }));
}

applyLanguage(chooseLanguage([query.language, settings.language, ...navigator.languages]));
Object.defineProperty(window, 'callbox', { value: debugInterface(() => call), enumerable: true });
addEventListener('popstate', route);
addEventListener('online', () => call?.reconnect());
addEventListener('pagehide', () => call?.leave());
navigator.mediaDevices?.addEventListener('devicechange', scheduleUpdate);
// Links of ours change the screen without loading the page again.
document.addEventListener('click', (event) => {
  const link = event.target instanceof Element ? event.target.closest('a[href="/"], a[href="/check"]') : null;
  if (!link || link.getAttribute('target') || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  go(link.getAttribute('href') ?? '/');
});
route();
