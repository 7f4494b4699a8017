// Who is in the room, how to invite more, and what its host may do.

import { t } from '../texts/texts.js';
import { el, setText } from './dom.js';
import { icon } from './icons.js';
import { inviteField, inviteHint } from './invite.js';
import { createPanel } from './panel.js';
import { hueOf, initials } from './tile.js';

/** @import { Call } from '../call/call.js' */
/** @import { Role } from '../protocol/types.js' */

/**
 * What is shown of somebody.
 * @typedef {object} Person
 * @property {string} id empty for oneself
 * @property {string} name
 * @property {Role} role
 * @property {boolean} audio
 * @property {boolean} hand
 */

/**
 * @param {object} options
 * @param {Call} options.call
 * @param {string} options.selfName
 * @param {string} options.link
 * @param {string} options.watchLink for those who shall only watch
 */
export function createPeoplePanel({ call, selfName, link, watchLink }) {
  const list = el('ul', { class: 'people', 'aria-label': t('call.people') });
  const lock = el('input', {
    type: 'checkbox',
    role: 'switch',
    id: 'lock',
    'data-testid': 'lock',
    'aria-describedby': 'lock-hint',
    onchange: () => call.moderate(lock.checked ? 'lock' : 'unlock'),
  });
  const lockField = el(
    'div',
    { class: 'switch-field' },
    lock,
    el('label', { for: 'lock' }, t('people.lock')),
    el('p', { class: 'hint', id: 'lock-hint' }, t('people.lock_hint')),
  );
  const viewers = el('p', { class: 'hint', 'data-testid': 'viewers' });
  const panel = createPanel({
    name: 'people',
    content: [
      list,
      lockField,
      el('div', { class: 'field' }, el('h3', {}, t('people.invite')), inviteHint(), inviteField(link)),
      el('div', { class: 'field' }, el('h3', {}, t('people.invite_watch')), inviteField(watchLink, 'watch'), viewers),
    ],
  });
  let shown = '';
  const update = () => {
    if (!panel.isOpen) return;
    const people = everybody(call, selfName);
    const host = call.role === 'host';
    panel.setTitle(t('people.title', { count: people.length }));
    lockField.hidden = !host;
    lock.checked = call.locked;
    lock.disabled = !call.hasSignaling;
    setText(viewers, t('people.viewers_most', { count: call.viewers.most }));
    const key = JSON.stringify([host, people]);
    if (key === shown) return;
    shown = key;
    // A button that has the focus must not lose it to a list that is only drawn anew.
    const focused = document.activeElement?.getAttribute('data-key');
    list.replaceChildren(...people.map((person) => row(person, host, call)));
    if (!focused) return;
    const find = (/** @type {string} */ wanted) => /** @type {HTMLElement | null} */ (list.querySelector(`[data-key="${CSS.escape(wanted)}"]`));
    // Where it is gone the person has it, and never the next button: that one takes somebody out of the call.
    const next = find(focused) ?? find(focused.replace(/^[^:]*/, 'person'));
    if (next) next.focus();
    else panel.focus();
  };
  return {
    element: panel.element,
    close: panel.close,
    update,
    toggle() {
      if (panel.isOpen) return panel.close();
      panel.open();
      return update();
    },
  };
}

/**
 * @param {Call} call
 * @param {string} selfName
 * @returns {Person[]}
 */
function everybody(call, selfName) {
  const self = { id: '', name: selfName, role: call.role, audio: call.sendsAudio, hand: call.hand };
  const others = call.participants.map(({ id, name, info, presence }) => ({ id, name, role: info.role, audio: info.media.audio, hand: presence.hand }));
  const audience = call.audience.map(({ peer, name, role }) => ({ id: peer, name, role, audio: false, hand: false }));
  return [self, ...others, ...audience];
}

/**
 * @param {Person} person
 * @param {boolean} host whether the reader is one
 * @param {Call} call
 */
function row({ id, name, role, audio, hand }, host, call) {
  const shown = id === '' ? (name ? `${name} (${t('call.you')})` : t('call.you')) : name || t('call.guest');
  const button = (/** @type {string} */ testid, /** @type {import('./icons.js').IconName} */ symbol, /** @type {string} */ label, /** @type {() => void} */ onclick) =>
    el('button', { type: 'button', class: 'round quiet', 'data-testid': testid, 'data-key': `${testid}:${id}`, 'aria-label': label, title: label, onclick }, icon(symbol));
  const others = host && id !== '';
  return el(
    'li',
    { class: 'person', tabindex: -1, 'data-key': `person:${id}` },
    el('span', { class: `avatar hue-${hueOf(id)}`, 'aria-hidden': 'true' }, initials(name || shown)),
    el('span', { class: 'person-name', dir: 'auto' }, shown),
    hand && el('span', { role: 'img', 'aria-label': t('call.hand_raised') }, icon('hand')),
    role !== 'participant' && el('span', { class: 'person-role' }, role === 'host' ? t('people.host') : t('people.viewer')),
    others && audio && button('mute', 'microphoneOff', t('people.mute', { name: shown }), () => call.moderate('mute', id)),
    others && button('kick', 'close', t('people.kick', { name: shown }), () => call.moderate('kick', id)),
  );
}
