// A panel over the call that leaves the call in reach: it takes the focus, and gives it back.

import { t } from '../texts/texts.js';
import { el, setText } from './dom.js';
import { icon } from './icons.js';

/**
 * @param {object} options
 * @param {string} options.name of the panel, for its id and for tests
 * @param {() => void} [options.onClosed]
 * @param {(Node | null)[]} options.content
 */
export function createPanel({ name, onClosed = () => {}, content }) {
  /** @type {Element | null} */
  let opener = null;
  const heading = el('h2', { id: `${name}-title`, tabindex: -1, dir: 'auto' });
  const close = () => {
    if (!element.open) return;
    element.close();
    if (opener instanceof HTMLElement) opener.focus();
    onClosed();
  };
  const element = el(
    'dialog',
    { class: 'panel', 'aria-labelledby': `${name}-title`, 'data-testid': name, onkeydown: (event) => event.key === 'Escape' && close() },
    el(
      'header',
      { class: 'chat-head' },
      heading,
      el('button', { type: 'button', class: 'round quiet', 'aria-label': t('action.close'), title: t('action.close'), onclick: close }, icon('close')),
    ),
    // It scrolls, so the keyboard must get into it.
    el('div', { class: 'panel-body', tabindex: 0, role: 'group', 'aria-labelledby': `${name}-title` }, ...content),
  );
  return {
    element,
    close,
    get isOpen() {
      return element.open;
    },
    /** @param {string} title */
    setTitle(title) {
      setText(heading, title);
    },
    focus() {
      heading.focus();
    },
    open() {
      if (element.open) return;
      opener = document.activeElement;
      element.show();
      heading.focus();
    },
  };
}
