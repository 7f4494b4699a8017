// The start page: start a call or join one.

import { newRoomName, readInvitation } from '../protocol/invitation.js';
import { ROOM_CHARACTERS, roomPath } from '../protocol/room.js';
import { t } from '../texts/texts.js';
import { el } from './dom.js';
import { icon } from './icons.js';
import { languageSwitch, wordmark } from './parts.js';
import { callPicture } from './picture.js';

/** @import { View } from './parts.js' */

const PROBLEMS = /** @type {const} */ ({
  missing: 'landing.room_missing',
  elsewhere: 'landing.room_elsewhere',
  long: 'room.long',
  invisible: 'room.invisible',
});

/**
 * @param {object} options
 * @param {(path: string) => void} options.onJoin the address of a room, and what an invitation says besides
 * @param {(language: import('../texts/texts.js').Language) => void} options.onLanguage
 * @returns {View}
 */
export function landingView({ onJoin, onLanguage }) {
  const create = () => onJoin(roomPath(newRoomName((bytes) => crypto.getRandomValues(bytes))));
  const problem = el('p', { class: 'field-problem', id: 'room-problem', role: 'alert' });
  const input = el('input', {
    id: 'room-input',
    'data-testid': 'room-input',
    autocomplete: 'off',
    autocapitalize: 'none',
    spellcheck: 'false',
    'aria-describedby': 'room-problem',
    oninput: () => problem.replaceChildren(),
  });
  const form = el(
    'form',
    {
      class: 'join-form',
      onsubmit: (event) => {
        event.preventDefault();
        const read = readInvitation(input.value, location.host);
        if ('path' in read) return onJoin(read.path);
        problem.textContent = t(PROBLEMS[read.problem], { count: ROOM_CHARACTERS });
        input.focus();
        return undefined;
      },
    },
    el('label', { for: 'room-input' }, t('landing.room')),
    el(
      'div',
      { class: 'join-row' },
      input,
      el('button', { class: 'button', 'data-testid': 'join-room' }, t('landing.join')),
    ),
    problem,
  );
  const element = el(
    'div',
    { class: 'page landing' },
    el('header', { class: 'page-head' }, wordmark(), languageSwitch(onLanguage)),
    el(
      'main',
      {},
      el(
        'div',
        { class: 'hero' },
        el(
          'div',
          { class: 'hero-words' },
          el('h1', { tabindex: -1 }, t('landing.title')),
          el('p', { class: 'lead' }, t('landing.lead')),
          el(
            'button',
            { type: 'button', class: 'button primary large', 'data-testid': 'create-room', onclick: create },
            icon('camera'),
            t('landing.create'),
          ),
          el('div', { class: 'or' }, el('span', {}, t('landing.or'))),
          form,
        ),
        callPicture(),
      ),
      el(
        'ul',
        { class: 'facts' },
        fact('lock', t('landing.private'), t('landing.private_more')),
        fact('relayed', t('landing.works'), t('landing.works_more')),
        fact('server', t('landing.yours'), t('landing.yours_more')),
      ),
    ),
    el('footer', { class: 'landing-foot' }, el('a', { class: 'link', href: '/check', 'data-testid': 'check' }, t('check.link'))),
  );
  return { element };
}

/**
 * @param {import('./icons.js').IconName} symbol
 * @param {string} title
 * @param {string} text
 */
function fact(symbol, title, text) {
  return el('li', {}, el('span', { class: 'fact-symbol' }, icon(symbol)), el('h2', {}, title), el('p', {}, text));
}
