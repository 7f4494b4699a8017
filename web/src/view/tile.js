// One person, or one shared screen, in the call.

import { t } from '../texts/texts.js';
import { REACTION_SIGNS } from './controls.js';
import { attach, el, setAttributes, setText } from './dom.js';
import { icon, signalBars } from './icons.js';
import { checkLink } from './parts.js';

/** @import { Reaction } from '../call/gestures.js' */
/** @import { LinkState } from '../call/link.js' */
/** @import { Quality } from '../call/quality.js' */
/** @import { TextKey } from '../texts/texts.js' */
/** @import { Place } from './layout.js' */

/**
 * @typedef {object} TileContent
 * @property {string} name
 * @property {string} [shortFor] what the initials stand for, if not for the name
 * @property {MediaStream} stream
 * @property {boolean} picture whether there is one to show
 * @property {boolean} muted whether the person's microphone is off
 * @property {boolean} speaking
 * @property {LinkState | null} state null for oneself
 * @property {boolean} away signaling has lost sight of the person
 * @property {boolean} [withoutPictures] whether they send a picture that this browser has no format for
 * @property {'direct' | 'relayed' | null} way
 * @property {Quality | null} quality null as long as there is none to tell
 * @property {boolean} hand whether it is raised
 * @property {Reaction | null} reaction
 *
 * @typedef {object} Tile
 * @property {HTMLElement} element
 * @property {HTMLVideoElement} video
 * @property {(content: TileContent, pinned: boolean) => void} show
 * @property {(size: Place['size'], rectangle: {x: number, y: number, width: number, height: number}) => void} place
 */

/** @type {Record<NonNullable<Quality['reason']>, TextKey>} */
const REASONS = { loss: 'connection.reason_loss', delay: 'connection.reason_delay', jitter: 'connection.reason_jitter' };

/** How many avatar colours there are in tokens.css. */
const HUES = 6;

/**
 * @param {object} options
 * @param {string} options.id
 * @param {'self' | 'peer' | 'screen' | 'own-screen'} options.kind
 * @param {() => void} options.onSoundBlocked
 * @param {() => void} options.onDetails the reader wants to know about the connection
 * @param {() => void} options.onPin the reader wants this one large, or no longer
 * @returns {Tile}
 */
export function createTile({ id, kind, onSoundBlocked, onDetails, onPin }) {
  const own = kind === 'self' || kind === 'own-screen';
  const video = el('video', {
    autoplay: true,
    playsinline: true,
    class: kind === 'self' ? 'mirrored' : null,
    'data-peer': kind === 'peer' ? id : null,
    'data-screen-of': kind === 'screen' ? id : null,
  });
  video.muted = own;
  const avatar = el('div', { class: `avatar hue-${hueOf(id)}`, 'aria-hidden': 'true' });
  const statusWords = el('span', {});
  const why = checkLink();
  const status = el('p', { class: 'tile-status', 'data-testid': 'tile-status' }, statusWords, why);
  const mutedMark = el('span', { class: 'tile-muted', role: 'img', 'aria-label': t('call.muted') }, icon('microphoneOff'));
  const name = el('span', { class: 'tile-name-text', dir: 'auto' });
  const hand = el('span', { class: 'tile-hand', role: 'img', 'aria-label': t('call.hand_raised'), 'data-testid': 'hand' }, icon('hand'));
  // It is told by a notice, too.
  const reaction = el('span', { class: 'tile-reaction', 'aria-hidden': 'true', 'data-testid': 'reaction' });
  const wayText = el('span', {});
  const way = el('button', { type: 'button', class: 'way-chip', 'data-testid': 'path', 'aria-haspopup': 'dialog', hidden: true, onclick: onDetails }, wayText, signalBars());
  const pin = el('button', { type: 'button', class: 'tile-action', 'data-testid': 'pin', onclick: onPin }, icon('pin'));
  const float = floatButton(video, own);
  const element = el(
    'li',
    { class: `tile tile-${kind}`, 'data-testid': 'tile', 'data-tile': `${kind}:${id}`, ondblclick: (event) => event.target.closest('button, a') || onPin() },
    avatar,
    video,
    status,
    own ? null : way,
    el('p', { class: 'tile-name' }, hand, mutedMark, name),
    reaction,
    el('div', { class: 'tile-actions' }, pin, float),
  );
  let shownWay = '';
  return {
    element,
    video,
    place(size, { x, y, width, height }) {
      element.dataset.size = size;
      for (const [property, pixels] of Object.entries({ left: x, top: y, width, height })) {
        element.style.setProperty(property, `${Math.round(pixels * 10) / 10}px`);
      }
    },
    show(content, pinned) {
      const stream = content.stream.getTracks().length > 0 ? content.stream : null;
      if (attach(video, stream) && stream) void play(video, onSoundBlocked);
      const text = statusText(content);
      setAttributes(element, {
        'data-picture': String(content.picture),
        'data-speaking': String(content.speaking),
        'data-state': content.state ?? 'self',
        'data-away': String(content.away),
      });
      setAttributes(video, { 'aria-label': content.name });
      setText(avatar, initials(content.shortFor ?? content.name));
      setText(name, content.name);
      setText(statusWords, text);
      why.hidden = content.state !== 'failed' && content.state !== 'full';
      status.hidden = text === '';
      mutedMark.hidden = !content.muted;
      hand.hidden = !content.hand;
      setText(reaction, content.reaction ? REACTION_SIGNS[content.reaction].sign : '');
      reaction.hidden = content.reaction === null;
      const pinWords = pinned ? t('tile.unpin', { name: content.name }) : t('tile.pin', { name: content.name });
      setAttributes(pin, { 'aria-label': pinWords, title: pinWords, 'aria-pressed': String(pinned) });
      if (float) {
        const words = t('tile.float', { name: content.name });
        setAttributes(float, { 'aria-label': words, title: words });
        float.hidden = !content.picture;
      }
      way.hidden = content.way === null;
      if (content.way && content.way !== shownWay) {
        shownWay = content.way;
        way.dataset.way = content.way;
        way.querySelector('.icon')?.remove();
        way.prepend(icon(content.way));
        setText(wayText, content.way === 'relayed' ? t('peer.relayed') : t('peer.direct'));
      }
      if (content.way) {
        const key = content.way === 'relayed' ? 'peer.relayed_more' : 'peer.direct_more';
        const quality = describeQuality(content.quality);
        setAttributes(way, {
          title: t(key, { name: content.name }),
          'aria-label': t('connection.details', { way: wayText.textContent ?? '', quality }),
          'data-quality': content.quality?.level ?? 'settling',
        });
      }
    },
  };
}

/**
 * Shows the picture in a small window over everything else, where the browser can.
 * @param {HTMLVideoElement} video
 * @param {boolean} own
 */
function floatButton(video, own) {
  if (own || !document.pictureInPictureEnabled) return null;
  const toggle = () =>
    void (document.pictureInPictureElement === video ? document.exitPictureInPicture() : video.requestPictureInPicture()).catch(() => undefined);
  return el('button', { type: 'button', class: 'tile-action', 'data-testid': 'float', onclick: toggle }, icon('float'));
}

/**
 * @param {TileContent} content
 */
function statusText({ state, away, withoutPictures }) {
  switch (state) {
    case 'connecting':
      return t('peer.connecting');
    case 'interrupted':
      return t('peer.interrupted');
    case 'failed':
      return t('peer.failed');
    case 'full':
      return t('peer.full');
    case 'refused':
      return t('peer.refused');
    case 'unfit':
      return t('peer.unfit');
    default:
      if (away) return t('peer.away');
      return withoutPictures ? t('peer.no_codec') : '';
  }
}

/**
 * Browsers may refuse sound until the reader has clicked; then the picture runs silently and the page asks.
 * @param {HTMLVideoElement} video
 * @param {() => void} onSoundBlocked
 */
async function play(video, onSoundBlocked) {
  try {
    await video.play();
  } catch (error) {
    if (!(error instanceof DOMException) || error.name !== 'NotAllowedError') return;
    video.muted = true;
    onSoundBlocked();
    await video.play().catch(() => undefined);
  }
}

/** @param {string} id */
export function hueOf(id) {
  let sum = 0;
  for (const character of id) sum = (sum * 31 + (character.codePointAt(0) ?? 0)) % 997;
  return sum % HUES;
}

/**
 * One or two characters that stand for a name.
 * @param {string} name
 */
export function initials(name) {
  const words = name.split(/\s+/).filter(Boolean);
  const first = (/** @type {string | undefined} */ word) => (word ? [...word][0] : '');
  const last = words.length > 1 ? first(words.at(-1)) : '';
  return (first(words[0]) + last).toUpperCase();
}

/** @param {Quality | null} quality */
export function describeQuality(quality) {
  if (!quality) return t('connection.settling');
  if (quality.level === 'good' || !quality.reason) return t('connection.good');
  const values = { reason: t(REASONS[quality.reason]) };
  return quality.level === 'fair' ? t('connection.fair', values) : t('connection.poor', values);
}
