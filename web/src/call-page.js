// A call, connected to the browser: signaling, connections, files, and the view of all of it. Loaded while the preview is shown.

import { Call } from './call/call.js';
import { roomPath } from './protocol/room.js';
import { SignalingClient, SUBPROTOCOL } from './protocol/signaling.js';
import { systemClock } from './protocol/types.js';
import { HASH_WORKER, scriptUrl } from './scripts.js';
import { readToken } from './settings.js';
import { t } from './texts/texts.js';
import { callView } from './view/call.js';
import { addStyles } from './view/styles.js';

/** @import { Devices } from './call/devices.js' */
/** @import { Identity } from './call/identity.js' */
/** @import { Destinations } from './call/files/destination.js' */
/** @import { WorkerHashes } from './call/files/worker-hash.js' */
/** @import { Session } from './protocol/signaling.js' */
/** @import { Shell } from './room-page.js' */
/** @import { Place, Seat } from './seat.js' */
/** @import { CallView } from './view/call.js' */

/** @type {WorkerHashes | null} */ let hashes = null;

/** SHA-256, in a worker where the browser has workers of modules; loaded when it is first wanted. */
async function newHash() {
  try {
    const { WorkerHashes } = await import('./call/files/worker-hash.js');
    if (hashes?.broken) hashes = null;
    hashes ??= new WorkerHashes(/** @type {any} */ (new Worker(scriptUrl(HASH_WORKER), { type: 'module' })));
    return hashes.create();
  } catch {
    const { newSha256 } = await import('./call/files/sha256.js');
    return newSha256();
  }
}

function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** @type {Promise<Identity> | null} */ let loading = null;
const loadIdentity = () => (loading ??= import('./call/identity.js').then(({ newIdentity }) => newIdentity()));
/** Of this page, in all its calls; without it others take this page for another one after a loss. @type {Identity} */
const identity = {
  introduce: async (self, to) => (await loadIdentity()).introduce(self, to),
  recognise: async (said, from, self) => (await loadIdentity()).recognise(said, from, self),
};
/** Of this page, in all its calls. @type {Destinations | null} */ let destinations = null;

/** What shows files and keeps them: loaded when a call begins, as nobody needs it before. */
async function loadFiles() {
  const [{ Destinations }, { createFileCards }] = await Promise.all([import('./call/files/destination.js'), import('./view/files.js'), addStyles('files')]);
  destinations ??= new Destinations(
    {
      get showSaveFilePicker() {
        return /** @type {any} */ (window).showSaveFilePicker?.bind(window);
      },
      storage: navigator.storage,
      locks: navigator.locks,
    },
    randomId(),
  );
  return { createFileCards, destinations };
}

/** Of this tab; loaded when a call begins, as it must be there when the page goes away. @type {Seat | null} */ let seat = null;

async function loadSeat() {
  const { Seat } = await import('./seat.js');
  return (seat ??= new Seat({ storage: sessionStorage, locks: navigator.locks, newId: randomId, now: Date.now }));
}

/**
 * The place in a locked room that an earlier page of this tab has left.
 * @param {string} room
 */
export async function takePlace(room) {
  return (await loadSeat()).take(room);
}

/**
 * Enters a room and shows it.
 * @param {Shell} shell
 * @param {string} room
 * @param {Devices} devices
 * @param {{explained: boolean, place: Place | null, onLeave: () => void}} options `explained`: whether the reader has been told which
 *   devices could not be opened
 * @returns {{call: Call, leave: () => void, hide: () => void}} `hide`: the page is going away
 */
export function startCall({ query, settings, socketUrl, show, view, update, remember, changeLanguage }, room, devices, { explained, place, onLeave }) {
  const name = query.name ?? settings.name;
  let session = place?.session ?? null;
  let isOver = false;
  /** Others would be kept waiting for somebody who closes the tab, so a place is only kept where it would be lost. */
  const keepPlace = (isLeft = false) => {
    // Its timers may fire once more, when the tab is in another call.
    if (isOver) return false;
    const keeps = session !== null && call.entered && call.room.locked;
    if (!keeps) {
      if (call.entered || session === null) seat?.drop();
    } else seat?.keep({ room, session: /** @type {Session} */ (session), media: devices.media }, isLeft);
    return keeps && seat !== null;
  };
  const call = new Call({
    createSignaling: (handlers) =>
      new SignalingClient({
        ...handlers,
        connect: () => new WebSocket(socketUrl, SUBPROTOCOL),
        hello: { type: 'hello', room, name, role: query.watch ? 'viewer' : 'participant', media: devices.media, ...readToken(location.hash) },
        clock: systemClock,
        random: Math.random,
        session,
        onSession: (next) => {
          session = next;
          keepPlace();
        },
      }),
    createConnection: (configuration) => new RTCPeerConnection(configuration),
    newStream: () => new MediaStream(),
    devices,
    preferences: () => settings,
    watch: query.watch,
    relayOnly: query.relayOnly ?? settings.relayOnly,
    identity,
    newId: randomId,
    newHash,
    clock: systemClock,
    onChange: () => {
      keepPlace();
      update();
    },
    restored: place !== null,
    onNotice: (notice) => /** @type {Partial<CallView> | null} */ (view())?.notify?.(notice),
  });
  void loadSeat().then(() => keepPlace(), () => undefined);
  /** @type {CallView | null} */ let built = null;
  const build = () => {
    const before = built?.arrangement() ?? null;
    built = callView({
      call,
      devices,
      before,
      explained: explained || before !== null,
      selfName: name,
      room,
      link: new URL(roomPath(room), location.href).href,
      watchLink: new URL(`${roomPath(room)}?watch=1`, location.href).href,
      loadFiles,
      settings,
      onSettings: (changes) => {
        remember(changes);
        call.preferencesChanged();
      },
      onLeave,
      onLanguage: changeLanguage,
    });
    return built;
  };
  show(build, () => t('preview.room', { room }));
  const leave = () => {
    call.leave();
    isOver = true;
  };
  const hide = () => {
    // Who is alone leaves nothing: an empty room that stays locked would keep out its own host, who opens it in another tab.
    const isKept = call.participants.length > 0 && keepPlace(true);
    isOver = isKept;
    if (isKept) call.suspend();
    else leave();
    seat?.release();
  };
  return { call, leave, hide };
}
