// Connects rooms to the browser: devices, preview, the call and its end. Loaded only where it is wanted.

import { Call } from './call/call.js';
import { Devices } from './call/devices.js';
import { Destinations } from './call/files/destination.js';
import { newSha256 } from './call/files/sha256.js';
import { WorkerHashes } from './call/files/worker-hash.js';
import { roomFromPath, roomPath } from './protocol/room.js';
import { SignalingClient, SUBPROTOCOL } from './protocol/signaling.js';
import { systemClock } from './protocol/types.js';
import { scriptUrl } from './scripts.js';
import { readToken } from './settings.js';
import { t } from './texts/texts.js';
import { callView } from './view/call.js';
import { endView } from './view/end.js';
import { previewView } from './view/preview.js';

/** @import { Query, Settings } from './settings.js' */
/** @import { Language } from './texts/texts.js' */
/** @import { CallView } from './view/call.js' */
/** @import { View } from './view/parts.js' */

/**
 * What is around the rooms.
 * @typedef {object} Shell
 * @property {Query} query
 * @property {Settings} settings as they are now
 * @property {URL} socketUrl
 * @property {(build: () => View, title?: () => string) => void} show now, and again in another language
 * @property {() => View | null} view what is shown
 * @property {() => void} update something changed
 * @property {(changes: Partial<Settings>) => void} remember
 * @property {(language: Language) => Promise<void>} changeLanguage
 * @property {(path: string) => void} go
 */

/** @type {WorkerHashes | null} */ let hashes = null;

/** SHA-256, in a worker where the browser has workers of modules; loaded when it is first wanted. */
async function newHash() {
  try {
    if (hashes?.broken) hashes = null;
    hashes ??= new WorkerHashes(/** @type {any} */ (new Worker(scriptUrl('/src/call/files/hash-worker.js'), { type: 'module' })));
    return hashes.create();
  } catch {
    return newSha256();
  }
}

function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** @param {Shell} shell */
export function createRooms({ query, settings, socketUrl, show, view, update, remember, changeLanguage, go }) {
  /** @type {Call | null} */ let call = null;
  /** @type {Devices | null} */ let devices = null;
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
        update();
      },
      onLost: (kind) => /** @type {Partial<CallView> | null} */ (view())?.deviceLost?.(kind),
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
    show(
      () =>
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
      () => t('preview.room', { room }),
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
          connect: () => new WebSocket(socketUrl, SUBPROTOCOL),
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
      newHash,
      clock: systemClock,
      onChange: update,
      onNotice: (notice) => /** @type {Partial<CallView> | null} */ (view())?.notify?.(notice),
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
    show(
      () =>
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
      () => t('preview.room', { room }),
    );
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
    show(() => endView({ reason, onAgain: () => void prepare(room, false), onHome: () => go('/'), onLanguage: changeLanguage }));
  }

  return {
    get call() {
      return call;
    },
    /**
     * A room's preview, or, where the reader wants straight in, the room.
     * @param {string} room
     */
    open(room) {
      if (typeof RTCPeerConnection === 'undefined') showEnd('unsupported', room);
      else void prepare(room, query.autojoin);
    },
    leave: leaveCall,
    /** Ends the call if the server has refused it. */
    settle() {
      if (call?.refusal) endCall(call.refusal);
    },
  };
}
