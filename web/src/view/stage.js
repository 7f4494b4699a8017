// The tiles of a call, and where they are.

import { t } from '../texts/texts.js';
import { setChildren, el } from './dom.js';
import { arrange, grid } from './layout.js';
import { createTile } from './tile.js';

/** @import { Call } from '../call/call.js' */
/** @import { Devices } from '../call/devices.js' */
/** @import { Participant } from '../call/participant.js' */
/** @import { Tile, TileContent } from './tile.js' */

/** Gap between tiles, in CSS pixels; call.css has the same. */
const GAP = 12;
/** From this loudness on somebody is speaking; sources report 0 to 1. */
const SPEAKING = 0.02;

/**
 * @param {object} options
 * @param {Call} options.call
 * @param {Devices} options.devices
 * @param {string} options.selfName
 * @param {() => number} options.ownLevel 0 to 1
 * @param {() => void} options.onSoundBlocked
 * @param {(id: string) => void} options.onDetails the reader wants to know about the connection to a participant
 */
export function createStage({ call, devices, selfName, ownLevel, onSoundBlocked, onDetails }) {
  /** @type {Map<string, Tile>} */
  const tiles = new Map();
  const stage = el('ul', { class: 'stage', 'aria-label': t('call.people') });
  const strip = el('ul', { class: 'strip', 'aria-label': t('call.people') });
  const element = el('div', { class: 'stage-area' }, stage, strip);
  let stageCount = 0;

  const layOut = () => {
    const { clientWidth, clientHeight } = stage;
    const { columns, width, height } = grid(stageCount, clientWidth, clientHeight, GAP);
    stage.style.setProperty('--columns', String(columns));
    stage.style.setProperty('--tile-width', `${width}px`);
    stage.style.setProperty('--tile-height', `${height}px`);
  };
  const observer = new ResizeObserver(layOut);
  observer.observe(stage);

  /**
   * @param {string} id
   * @param {'self' | 'peer' | 'screen' | 'own-screen'} kind
   */
  const tileOf = (id, kind) => {
    const key = `${kind}:${id}`;
    const known = tiles.get(key);
    if (known) return known;
    const tile = createTile({ id, kind, onSoundBlocked, onDetails: () => onDetails(id) });
    tiles.set(key, tile);
    return tile;
  };

  const update = () => {
    /** @type {Map<string, Tile>} */
    const shown = new Map();
    const add = (/** @type {string} */ id, /** @type {Parameters<typeof tileOf>[1]} */ kind, /** @type {TileContent} */ content) => {
      const tile = tileOf(id, kind);
      tile.show(content);
      shown.set(`${kind}:${id}`, tile);
      return `${kind}:${id}`;
    };
    const screens = [];
    const self = add('self', 'self', selfContent(selfName, devices, ownLevel() > 0.45));
    if (devices.tracks.screen) {
      screens.push(add('self', 'own-screen', screenContent(t('call.your_screen'), devices.screenStream)));
    }
    const others = call.participants.map((participant) => add(participant.id, 'peer', peerContent(participant)));
    for (const participant of call.participants) {
      const stream = participant.active.screenStream;
      if (!participant.info.media.screen || stream.getVideoTracks().length === 0) continue;
      screens.push(add(participant.id, 'screen', screenContent(t('call.screen_of', { name: nameOf(participant) }), stream)));
    }
    const { kind, stage: large, strip: small } = arrange(self, others, screens);
    element.dataset.kind = kind;
    const elements = (/** @type {string[]} */ keys) => keys.flatMap((key) => shown.get(key)?.element ?? []);
    setChildren(stage, elements(large));
    setChildren(strip, elements(small));
    for (const [key, tile] of tiles) {
      if (shown.has(key)) continue;
      tile.video.srcObject = null;
      tiles.delete(key);
    }
    stageCount = large.length;
    layOut();
  };

  return {
    element,
    update,
    /** After a click of the reader the browser allows sound. */
    startSound() {
      for (const tile of tiles.values()) {
        if (tile.video.dataset.peer === undefined && tile.video.dataset.screenOf === undefined) continue;
        tile.video.muted = false;
        void tile.video.play().catch(() => undefined);
      }
    },
    dispose() {
      observer.disconnect();
      for (const tile of tiles.values()) tile.video.srcObject = null;
    },
  };
}

/** @param {Participant} participant */
export function nameOf(participant) {
  return participant.name || t('call.guest');
}

/**
 * @param {Participant} participant
 * @returns {TileContent}
 */
function peerContent(participant) {
  const { active, info, instance, away } = participant;
  const [video] = active.stream.getVideoTracks();
  const { path, framesDecoded } = active.statistics;
  // A program that is not this page may never say what it sends; there the track itself tells.
  const saysVideo = info.media.video || instance === null;
  const saysAudio = info.media.audio || instance === null;
  // Chromium leaves a track muted for good whose packets came before the answer.
  const flows = video !== undefined && (!video.muted || framesDecoded > 0);
  const connected = active.state === 'connected';
  return {
    name: nameOf(participant),
    stream: active.stream,
    picture: flows && saysVideo,
    muted: !saysAudio,
    speaking: saysAudio && active.audioLevel > SPEAKING,
    state: active.state,
    away,
    way: connected && path ? (path === 'relay' ? 'relayed' : 'direct') : null,
    quality: active.history.quality,
  };
}

/**
 * @param {string} name
 * @param {Devices} devices
 * @param {boolean} speaking
 * @returns {TileContent}
 */
function selfContent(name, devices, speaking) {
  const { audio, video } = devices.media;
  return {
    name: name ? `${name} (${t('call.you')})` : t('call.you'),
    shortFor: name || t('call.you'),
    stream: devices.stream,
    picture: video,
    muted: !audio,
    speaking: audio && speaking,
    state: null,
    away: false,
    way: null,
    quality: null,
  };
}

/**
 * @param {string} name
 * @param {MediaStream} stream
 * @returns {TileContent}
 */
function screenContent(name, stream) {
  return { name, stream, picture: true, muted: false, speaking: false, state: null, away: false, way: null, quality: null };
}
