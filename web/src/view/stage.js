// The tiles of a call, and where they are.

import { SPEAKING, SpeakerChoice } from '../call/speaker.js';
import { t } from '../texts/texts.js';
import { el, setChildren } from './dom.js';
import { layOut } from './layout.js';
import { createTile } from './tile.js';

/** @import { Call } from '../call/call.js' */
/** @import { Devices } from '../call/devices.js' */
/** @import { Participant } from '../call/participant.js' */
/** @import { Mode } from './layout.js' */
/** @import { Tile, TileContent } from './tile.js' */

/** Gap between tiles, in CSS pixels. */
const GAP = 12;
/** From this level of our own meter on we are speaking. */
const OWN_SPEAKING = 0.45;

/**
 * @param {object} options
 * @param {Call} options.call
 * @param {Devices} options.devices
 * @param {string} options.selfName
 * @param {() => number} options.ownLevel 0 to 1
 * @param {() => Mode} options.mode
 * @param {() => string | null} options.speaker where sound is played; null leaves it to the browser
 * @param {string | null} options.pinned whom the reader has made large before
 * @param {() => void} options.onSoundBlocked
 * @param {(id: string) => void} options.onDetails the reader wants to know about the connection to a participant
 */
export function createStage({ call, devices, selfName, ownLevel, mode, speaker, pinned: before, onSoundBlocked, onDetails }) {
  /** @type {Map<string, Tile>} */
  const tiles = new Map();
  const element = el('ul', { class: 'stage', 'aria-label': t('call.people') });
  const speakers = new SpeakerChoice();
  let pinned = before;
  let people = { self: /** @type {string | null} */ (null), others: /** @type {string[]} */ ([]), screens: /** @type {string[]} */ ([]) };

  const place = () => {
    const { clientWidth: width, clientHeight: height } = element;
    const { kind, places } = layOut({ ...people, width, height, gap: GAP, pinned, speaker: speakers.speaker, mode: mode() });
    element.dataset.kind = kind;
    for (const { key, size, ...rectangle } of places) tiles.get(key)?.place(size, rectangle);
  };
  const observer = new ResizeObserver(place);
  observer.observe(element);

  /**
   * @param {string} id
   * @param {'self' | 'peer' | 'screen' | 'own-screen'} kind
   */
  const tileOf = (id, kind) => {
    const key = `${kind}:${id}`;
    const known = tiles.get(key);
    if (known) return known;
    const onPin = () => {
      pinned = pinned === key ? null : key;
      update();
    };
    const tile = createTile({ id, kind, onSoundBlocked, onDetails: () => onDetails(id), onPin });
    tiles.set(key, tile);
    return tile;
  };

  const update = () => {
    /** @type {string[]} */
    const shown = [];
    const add = (/** @type {string} */ id, /** @type {Parameters<typeof tileOf>[1]} */ kind, /** @type {TileContent} */ content) => {
      const key = `${kind}:${id}`;
      tileOf(id, kind).show(content, pinned === key);
      shown.push(key);
      return key;
    };
    // Who only watches is heard of in the list of people.
    const shownPeople = call.participants.filter(({ info }) => info.role !== 'viewer');
    const others = shownPeople.map((participant) => add(participant.id, 'peer', peerContent(participant)));
    const screens = shownPeople.flatMap((participant) => {
      const stream = participant.active.screenStream;
      if (!participant.info.media.screen || stream.getVideoTracks().length === 0) return [];
      return [add(participant.id, 'screen', screenContent(t('call.screen_of', { name: nameOf(participant) }), stream))];
    });
    if (devices.tracks.screen) {
      screens.push(add('self', 'own-screen', screenContent(t('call.your_screen'), devices.screenStream)));
    }
    const self = call.watching ? null : add('self', 'self', selfContent(selfName, call, devices, ownLevel() > OWN_SPEAKING));
    people = { self, others, screens };
    const levels = shownPeople.map(({ id, active }) => /** @type {const} */ ([`peer:${id}`, active.audioLevel]));
    speakers.hear(new Map(levels), performance.now());
    if (pinned !== null && !shown.includes(pinned)) pinned = null;
    for (const [key, tile] of tiles) {
      if (shown.includes(key)) continue;
      tile.video.srcObject = null;
      tiles.delete(key);
    }
    for (const tile of tiles.values()) playThrough(tile.video, speaker());
    setChildren(element, shown.flatMap((key) => tiles.get(key)?.element ?? []));
    place();
  };

  return {
    element,
    update,
    /** Whom the reader has made large. */
    get pinned() {
      return pinned;
    },
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
  const { active, info, introduced, away } = participant;
  const [video] = active.stream.getVideoTracks();
  const { path, framesDecoded } = active.statistics;
  // A program that is not this page may never say what it sends; there the track itself tells.
  const saysVideo = info.media.video || !introduced;
  const saysAudio = info.media.audio || !introduced;
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
    withoutPictures: connected && saysVideo && active.withoutPictures,
    way: connected && path ? (path === 'relay' ? 'relayed' : 'direct') : null,
    quality: active.history.quality,
    hand: participant.presence.hand,
    reaction: participant.reaction,
  };
}

/**
 * @param {string} name
 * @param {Call} call
 * @param {Devices} devices
 * @param {boolean} speaking
 * @returns {TileContent}
 */
function selfContent(name, call, devices, speaking) {
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
    hand: call.hand,
    reaction: call.reaction,
  };
}

/**
 * @param {string} name
 * @param {MediaStream} stream
 * @returns {TileContent}
 */
function screenContent(name, stream) {
  return { name, stream, picture: true, muted: false, speaking: false, state: null, away: false, way: null, quality: null, hand: false, reaction: null };
}

/**
 * @param {HTMLVideoElement} video
 * @param {string | null} speaker
 */
function playThrough(video, speaker) {
  if (!video.setSinkId || video.muted || video.dataset.sink === (speaker ?? '')) return;
  video.dataset.sink = speaker ?? '';
  // A speaker that was unplugged since is no reason to be silent: the browser goes on with its own.
  void video.setSinkId(speaker ?? '').catch(() => undefined);
}
