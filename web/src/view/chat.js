// The chat beside the call.

import { CHAT_CHARACTERS, CHAT_PARTS, linkParts } from '../call/chat.js';
import { composed } from '../protocol/room.js';
import { t, timeOfDay } from '../texts/texts.js';
import { el } from './dom.js';
import { icon } from './icons.js';

/** @import { Call } from '../call/call.js' */
/** @import { ChatMessage } from '../call/chat.js' */

/** So far from the end is still there, in CSS pixels: browsers round. */
const END_PIXELS = 8;

/**
 * @param {object} options
 * @param {Call} options.call
 * @param {{update: (add: (card: HTMLElement) => void) => void}} options.cards of files
 * @param {HTMLElement[]} options.sendFile what files are chosen with
 * @param {string} options.draft what is written and not sent
 * @param {(text: string) => boolean} options.onLong offers a text as a file; whether there is somebody to take it
 * @param {(text: string, kind: 'news') => void} options.onNotice
 * @param {() => void} options.onClose
 */
export function createChat({ call, cards, sendFile, draft, onLong, onNotice, onClose }) {
  const log = el('div', { class: 'chat-log', role: 'log', 'aria-label': t('chat.title'), tabindex: 0, 'data-testid': 'chat-log' });
  const empty = el('p', { class: 'chat-empty' }, t('chat.empty'));
  const input = el('textarea', {
    rows: 1,
    placeholder: t('chat.placeholder'),
    'aria-label': t('chat.placeholder'),
    'data-testid': 'chat-input',
    onkeydown: (event) => {
      if (event.key !== 'Enter' || event.shiftKey) return;
      event.preventDefault();
      form.requestSubmit();
    },
  });
  input.value = draft;
  /** What is too long for one message goes in several, or as a file. Whether it went. @param {string} text */
  const send = (text) => {
    // What is sent is composed, which lengthens a few characters.
    if (composed(text).length > CHAT_PARTS * CHAT_CHARACTERS) return onLong(text);
    const count = call.sendChat(text);
    if (count > 1) onNotice(t('chat.in_parts', { count }), 'news');
    return true;
  };
  const form = el(
    'form',
    {
      class: 'chat-form',
      onsubmit: (event) => {
        event.preventDefault();
        if (send(input.value)) input.value = '';
      },
    },
    ...sendFile,
    input,
    el('button', { class: 'round accent', 'aria-label': t('chat.send'), title: t('chat.send'), 'data-testid': 'chat-send' }, icon('send')),
  );
  const close = el('button', { type: 'button', class: 'round quiet', 'aria-label': t('action.close'), title: t('action.close'), onclick: onClose }, icon('close'));
  const news = el(
    'button',
    {
      type: 'button',
      class: 'button small chat-news',
      hidden: true,
      'data-testid': 'chat-news',
      onclick: () => toEnd(),
    },
    t('chat.news'),
  );
  const element = el(
    'aside',
    { class: 'chat', 'aria-label': t('chat.title'), onkeydown: (event) => event.key === 'Escape' && onClose() },
    el('header', { class: 'chat-head' }, el('h2', {}, t('chat.title')), close),
    empty,
    log,
    news,
    form,
  );
  // At the end, where the news is, unless the reader has gone up from there: also when it comes into sight, or the window changes.
  let atEnd = true;
  const toEnd = () => {
    log.scrollTop = log.scrollHeight;
    look();
  };
  const look = () => {
    atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < END_PIXELS;
    if (!atEnd || news.hidden) return;
    // The button goes away, and the keyboard stays with what was read.
    if (document.activeElement === news) log.focus();
    news.hidden = true;
  };
  log.addEventListener('scroll', look);
  new ResizeObserver(() => (atEnd ? toEnd() : look())).observe(log);
  /** @type {{message: ChatMessage, element: HTMLElement, doubt: HTMLElement}[]} */ const shown = [];
  /** How many messages have been shown. */ let count = 0;
  return {
    element,
    focus: () => input.focus(),
    get draft() {
      return input.value;
    },
    update() {
      const fresh = call.chat.slice(Math.max(0, call.chat.length - (call.chatCount - count)));
      count = call.chatCount;
      // What the call has forgotten goes.
      for (const { element: old } of shown.splice(0, shown.length + fresh.length - call.chat.length)) old.remove();
      const before = log.children.length;
      for (const message of fresh) {
        const item = chatItem(message);
        shown.push({ message, ...item });
        log.append(item.element);
      }
      for (const { message, doubt } of shown) doubt.hidden = !message.uncertain;
      cards.update((card) => log.append(card));
      empty.hidden = log.children.length > 0;
      // Whoever reads above is not taken from there by others, and is told.
      const added = [...log.children].slice(before);
      if (!log.checkVisibility() || added.some((item) => item.classList.contains('own'))) atEnd = true;
      if (atEnd) toEnd();
      else if (added.length > 0) news.hidden = false;
    },
  };
}

/** @param {ChatMessage} message */
function chatItem({ from, name, text, at }) {
  const doubt = el('p', { class: 'chat-doubt', hidden: true }, t('chat.uncertain'));
  const element = el(
    'div',
    { class: `chat-item${from === '' ? ' own' : ''}` },
    el(
      'p',
      { class: 'chat-by' },
      el('span', { dir: 'auto' }, from === '' ? t('call.you') : name || t('call.guest')),
      el('time', { datetime: new Date(at).toISOString() }, timeOfDay(at)),
    ),
    el('p', { class: 'chat-text', dir: 'auto' }, ...linkParts(text).map(chatPart)),
    doubt,
  );
  return { element, doubt };
}

/** @param {import('../call/chat.js').Part} part */
function chatPart({ text, href }) {
  if (href === null) return document.createTextNode(text);
  return el('a', { href, target: '_blank', rel: 'noopener noreferrer nofollow' }, text);
}
