// The buttons of a call.

import { REACTIONS } from '../call/gestures.js';
import { t } from '../texts/texts.js';
import { el, setAttributes, setText } from './dom.js';
import { icon } from './icons.js';
import { showToggle } from './preview.js';

/** @import { Call } from '../call/call.js' */
/** @import { Devices } from '../call/devices.js' */
/** @import { Reaction } from '../call/gestures.js' */
/** @import { TextKey } from '../texts/texts.js' */

/** @type {Record<Reaction, {sign: string, text: TextKey}>} */
export const REACTION_SIGNS = {
  yes: { sign: '👍', text: 'reaction.yes' },
  clap: { sign: '👏', text: 'reaction.clap' },
  heart: { sign: '❤️', text: 'reaction.heart' },
  laugh: { sign: '😂', text: 'reaction.laugh' },
  wow: { sign: '😮', text: 'reaction.wow' },
  no: { sign: '👎', text: 'reaction.no' },
};

/** What the buttons do. */
export class CallActions {
  /**
   * @param {Call} call
   * @param {Devices} devices
   */
  constructor(call, devices) {
    this.call = call;
    this.devices = devices;
  }

  microphone = () => {
    if (this.call.watching) return;
    if (this.devices.tracks.microphone) this.devices.setMuted(!this.devices.muted);
    else void this.devices.openMicrophone();
  };

  camera = () => {
    if (this.call.watching) return;
    if (this.devices.tracks.camera) this.devices.close('camera');
    else void this.devices.openCamera();
  };

  screen = () => {
    if (this.call.watching || !this.devices.canShareScreen) return;
    if (this.devices.tracks.screen) this.devices.close('screen');
    else void this.devices.shareScreen();
  };

  hand = () => this.call.raiseHand(!this.call.hand);
}

/**
 * @param {object} options
 * @param {CallActions} options.actions
 * @param {() => void} options.onLeave
 * @param {() => void} options.onChat
 * @param {() => void} options.onPeople
 * @param {() => void} options.onSettings
 */
export function createControls({ actions, onLeave, onChat, onPeople, onSettings }) {
  const { call, devices } = actions;
  const microphone = control('toggle-microphone', actions.microphone);
  const camera = control('toggle-camera', actions.camera);
  const screen = control('share-screen', actions.screen);
  const hand = control('raise-hand', actions.hand);
  const people = control('toggle-people', () => {
    setMore(false);
    onPeople();
  });
  const settings = control('toggle-settings', () => {
    setMore(false);
    onSettings();
  });
  const chat = control('toggle-chat', onChat);
  const unreadBadge = el('span', { class: 'badge', 'aria-hidden': 'true', hidden: true });
  chat.append(unreadBadge);
  const reactions = reactionMenu((reaction) => call.react(reaction));
  const extras = el('div', { class: 'controls-extra', id: 'controls-extra' }, screen, hand, reactions.element, people, settings);
  const more = control('more', () => setMore(element.dataset.more !== 'open'));
  const setMore = (/** @type {boolean} */ open) => {
    element.dataset.more = open ? 'open' : 'closed';
    setAttributes(more, { 'aria-expanded': String(open) });
    if (!open) reactions.close();
  };
  more.classList.add('more');
  setAttributes(more, { 'aria-expanded': 'false', 'aria-controls': 'controls-extra' });
  const leave = el(
    'button',
    { type: 'button', class: 'round leave', 'aria-label': t('call.leave'), title: t('call.leave'), 'data-testid': 'leave', onclick: onLeave },
    icon('leave'),
  );
  const element = el('div', { class: 'controls', role: 'toolbar', 'aria-label': t('call.controls') }, microphone, camera, extras, chat, more, leave);
  return {
    element,
    focusChat: () => chat.focus(),
    /**
     * @param {{chatOpen: boolean, unread: number}} state
     */
    update({ chatOpen, unread }) {
      const { audio, video, screen: sharing } = devices.media;
      showToggle(microphone, audio, audio ? 'microphone' : 'microphoneOff', audio ? t('call.microphone_off') : t('call.microphone_on'));
      showToggle(camera, video, video ? 'camera' : 'cameraOff', video ? t('call.camera_off') : t('call.camera_on'));
      showToggle(screen, true, 'screen', sharing ? t('call.screen_off') : t('call.screen_on'));
      showToggle(hand, true, 'hand', call.hand ? t('call.hand_lower') : t('call.hand_raise'));
      showToggle(people, true, 'people', t('people.open'));
      showToggle(settings, true, 'settings', t('settings.title'));
      showToggle(more, true, 'more', t('call.more'));
      showToggle(chat, true, 'chat', unread > 0 ? t('call.chat_unread', { count: unread }) : t('call.chat'));
      microphone.hidden = camera.hidden = call.watching;
      screen.hidden = call.watching || !devices.canShareScreen;
      screen.classList.toggle('active', sharing);
      hand.classList.toggle('active', call.hand);
      setAttributes(hand, { 'aria-pressed': String(call.hand) });
      setAttributes(chat, { 'aria-expanded': String(chatOpen) });
      chat.classList.toggle('active', chatOpen);
      setText(unreadBadge, String(unread));
      unreadBadge.hidden = unread === 0;
    },
  };
}

/** @param {(reaction: Reaction) => void} onReaction */
function reactionMenu(onReaction) {
  const list = el('div', { class: 'reactions', id: 'reactions', role: 'group', 'aria-label': t('call.react'), hidden: true });
  const toggle = control('react', () => show(list.hidden !== false));
  showToggle(toggle, true, 'react', t('call.react'));
  const show = (/** @type {boolean} */ open) => {
    list.hidden = !open;
    setAttributes(toggle, { 'aria-expanded': String(open) });
  };
  setAttributes(toggle, { 'aria-expanded': 'false', 'aria-controls': 'reactions' });
  for (const reaction of REACTIONS) {
    const { sign, text } = REACTION_SIGNS[reaction];
    const onclick = () => {
      onReaction(reaction);
      show(false);
      toggle.focus();
    };
    list.append(el('button', { type: 'button', class: 'reaction', 'data-testid': `reaction-${reaction}`, 'aria-label': t(text), title: t(text), onclick }, sign));
  }
  const element = el('div', { class: 'reaction-menu', onkeydown: (event) => event.key === 'Escape' && (show(false), toggle.focus()) }, toggle, list);
  element.addEventListener('focusout', ({ relatedTarget }) => {
    if (relatedTarget instanceof Node && !element.contains(relatedTarget)) show(false);
  });
  return { element, close: () => show(false) };
}

/**
 * @param {string} id
 * @param {() => void} onClick
 */
function control(id, onClick) {
  return el('button', { type: 'button', class: 'round', 'data-testid': id, onclick: onClick });
}
