// Connects rooms to the browser: devices, preview, the way into the call and its end. Loaded only where it is wanted.

import { Devices } from './call/devices.js';
import { readRoom } from './protocol/room.js';
import { t } from './texts/texts.js';
import { previewView } from './view/preview.js';
import { addStyles } from './view/styles.js';

/** @import { Call } from './call/call.js' */
/** @import { Query, Settings } from './settings.js' */
/** @import { Language } from './texts/texts.js' */
/** @import { Place } from './seat.js' */
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

/** What a call needs beyond its preview. */
async function loadCall() {
  const [page] = await Promise.all([
    import('./call-page.js'),
    addStyles('call', 'tile', 'chat', 'controls'),
  ]);
  return page;
}

/** What is shown after a call; loaded when one begins, as there may be no network at its end. */
const loadEnd = () => import('./view/end.js');

/** Whether an earlier page of this tab has left a place in a locked room (seat.js). */
function hasPlace() {
  try {
    return sessionStorage.getItem('callbox.seat') !== null;
  } catch {
    return false;
  }
}

/** @param {Shell} shell */
export function createRooms(shell) {
  const { query, settings, show, view, update, remember, changeLanguage, go } = shell;
  /** @type {Call | null} */ let call = null;
  /** Ends the call. */ let leave = () => {};
  /** Takes the call away with the page. */ let hideCall = () => {};
  /** What was on in the call with which the page went away: a browser may bring it back as it was. @type {Place['media'] | null} */ let hidden = null;
  /** @type {Devices | null} */ let devices = null;
  /** Whose room is being entered. @type {Devices | null} */ let entering = null;
  /** The room of the address. */ let roomName = '';
  /** How many rooms were begun or left: a place may take its time, and the reader may go on. */ let begun = 0;

  /**
   * Opens the devices, and shows the preview unless the reader wants straight in.
   * @param {string} room
   * @param {boolean} straightIn
   * @param {Place['media'] | null} [media] what may be opened, if that is known
   */
  async function begin(room, straightIn, media = null) {
    const turn = ++begun;
    const page = hasPlace() && (await loadCall().catch(() => null));
    const place = page ? await page.takePlace(room).catch(() => null) : null;
    if (turn === begun) await prepare(room, straightIn || place !== null, place, place?.media ?? media);
  }

  /**
   * @param {string} room
   * @param {boolean} straightIn
   * @param {Place | null} place that an earlier page has left
   * @param {Place['media'] | null} media what may be opened, if that is known
   */
  async function prepare(room, straightIn, place, media) {
    const opened = new Devices({
      mediaDevices: navigator.mediaDevices,
      permissions: navigator.permissions,
      newStream: () => new MediaStream(),
      onChange: () => {
        call?.devicesChanged();
        update();
      },
      onLost: (kind, next) => /** @type {Partial<CallView> | null} */ (view())?.deviceLost?.(kind, next),
    });
    devices = opened;
    const { camera, microphone, speaker } = settings;
    opened.chosen = { camera: camera ?? undefined, microphone: microphone ?? undefined, speaker: speaker ?? undefined };
    opened.noiseSuppression = settings.noiseSuppression;
    opened.setMuted(settings.pushToTalk || media?.audio === false);
    // One after the other: two questions at once confuse, and refusing one must not refuse the other.
    const open = async () => {
      if (query.watch) return;
      if (query.audio) await opened.openMicrophone();
      if (query.video && !settings.cameraOff && media?.video !== false) await opened.openCamera();
    };
    const loadInBackground = () => void loadCall().catch(() => undefined);
    if (straightIn) {
      loadInBackground();
      await open();
      if (devices === opened) void enter(room, opened, false, place);
    } else {
      showPreview(room, opened);
      // By the time that somebody has chosen a name it is there.
      loadInBackground();
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
          onJoin: () => void enter(room, opened, true, null),
          onLanguage: changeLanguage,
        }),
      () => t('preview.room', { room }),
    );
  }

  /**
   * @param {string} room
   * @param {Devices} opened
   * @param {boolean} explained whether the reader knows which devices could not be opened
   * @param {Place | null} place
   */
  async function enter(room, opened, explained, place) {
    // Once is enough, also for those who click twice.
    if (entering === opened) return;
    entering = opened;
    // Without the server there is no call; opening the page anew says so.
    const page = await loadCall().catch(() => location.reload());
    // The reader may have gone on in the meantime.
    if (!page || devices !== opened) return;
    ({ call, leave, hide: hideCall } = page.startCall(shell, room, opened, { explained, place, onLeave: () => endCall('left') }));
    call.enter();
    void loadEnd().catch(() => undefined);
  }

  /** @param {string} reason `left`, or the server's error code */
  function endCall(reason) {
    leaveCall();
    void showEnd(reason);
  }

  function leaveCall() {
    leave();
    forget();
  }

  function forget() {
    begun += 1;
    call = null;
    leave = () => {};
    onbeforeunload = null;
    devices?.closeAll();
    devices = null;
  }

  /** @param {string} reason */
  async function showEnd(reason) {
    const turn = ++begun;
    const page = await loadEnd().catch(() => location.reload());
    if (!page || turn !== begun) return;
    const { endView } = page;
    show(() => endView({ reason, onAgain: () => void begin(roomName, false), onHome: () => go('/'), onLanguage: changeLanguage }));
  }

  return {
    get call() {
      return call;
    },
    /**
     * A room's preview, or, where the reader wants straight in, the room.
     * @param {string} name as the address has it
     */
    open(name) {
      const { room = '', problem } = readRoom(name);
      roomName = room;
      if (problem || typeof RTCPeerConnection === 'undefined') void showEnd(problem ?? 'unsupported');
      else void begin(room, query.autojoin);
    },
    leave: leaveCall,
    /** Whether others would miss the reader, who may not mean to go. */
    get asks() {
      return call !== null && !call.watching && call.participants.length > 0;
    },
    /** The page goes away: it is closed, loaded anew, or kept by the browser as it is. */
    hide() {
      hidden = call && devices && devices.media;
      if (!call) return;
      hideCall();
      forget();
    },
    /** The browser has brought the page back as it was. */
    comeBack() {
      if (hidden) void begin(roomName, true, hidden);
    },
    /** Ends the call if the server has refused it. */
    settle() {
      // Browsers ask nothing where nobody has touched the page, and complain.
      const mayAsk = this.asks && navigator.userActivation?.hasBeenActive !== false;
      onbeforeunload = mayAsk ? (event) => event.preventDefault() : null;
      if (!call?.refusal) return;
      if (call.refusal === 'resume_failed') {
        leaveCall();
        return void begin(roomName, false);
      }
      // To somebody who was inside it means that a host wanted it so.
      endCall(call.refusal === 'forbidden' && call.entered ? 'kicked' : call.refusal);
    },
  };
}
