// The chat beside the call.

import { CHAT_CHARACTERS } from '../call/call.js';
import { t, timeOfDay } from '../texts/texts.js';
import { el } from './dom.js';
import { icon } from './icons.js';

/** @import { Call, ChatMessage } from '../call/call.js' */

/**
 * @param {object} options
 * @param {Call} options.call
 * @param {() => void} options.onClose
 */
export function createChat({ call, onClose }) {
  const log = el('div', { class: 'chat-log', role: 'log', 'aria-label': t('chat.title'), tabindex: 0, 'data-testid': 'chat-log' });
  const empty = el('p', { class: 'chat-empty' }, t('chat.empty'));
  const input = el('textarea', {
    rows: 1,
    maxlength: CHAT_CHARACTERS,
    placeholder: t('chat.placeholder'),
    'aria-label': t('chat.placeholder'),
    'data-testid': 'chat-input',
    // Enter while an input method composes chooses a syllable; it does not send.
    onkeydown: (event) => {
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      form.requestSubmit();
    },
  });
  const form = el(
    'form',
    {
      class: 'chat-form',
      onsubmit: (event) => {
        event.preventDefault();
        call.sendChat(input.value);
        input.value = '';
      },
    },
    input,
    el('button', { class: 'round accent', 'aria-label': t('chat.send'), title: t('chat.send'), 'data-testid': 'chat-send' }, icon('send')),
  );
  const close = el('button', { type: 'button', class: 'round quiet', 'aria-label': t('action.close'), title: t('action.close'), onclick: onClose }, icon('close'));
  const element = el(
    'aside',
    { class: 'chat', 'aria-label': t('chat.title'), onkeydown: (event) => event.key === 'Escape' && onClose() },
    el('header', { class: 'chat-head' }, el('h2', {}, t('chat.title')), close),
    empty,
    log,
    form,
  );
  let shown = 0;
  return {
    element,
    focus: () => input.focus(),
    update() {
      if (shown === call.chat.length) return;
      for (const message of call.chat.slice(shown)) log.append(chatItem(message));
      shown = call.chat.length;
      empty.hidden = shown > 0;
      log.scrollTop = log.scrollHeight;
    },
  };
}

/** @param {ChatMessage} message */
function chatItem({ from, name, text, at }) {
  return el(
    'div',
    { class: `chat-item${from === '' ? ' own' : ''}` },
    el(
      'p',
      { class: 'chat-by' },
      el('span', { dir: 'auto' }, from === '' ? t('call.you') : name || t('call.guest')),
      el('time', { datetime: new Date(at).toISOString() }, timeOfDay(at)),
    ),
    el('p', { class: 'chat-text', dir: 'auto' }, text),
  );
}
