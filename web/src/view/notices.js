// Short messages over the call, and the same for screen readers.

import { t } from '../texts/texts.js';
import { el } from './dom.js';
import { icon } from './icons.js';

/** How long a message stays, in milliseconds. */
const STAY_MS = 6000;
/** How many are shown at once. */
const MOST = 3;

export function createNotices() {
  const element = el('div', { class: 'notices', role: 'status', 'aria-live': 'polite', 'data-testid': 'notices' });
  return {
    element,
    /**
     * @param {string} text
     * @param {'news' | 'problem'} kind problems stay until they are closed, or until there are only problems and too many
     */
    show(text, kind) {
      const notice = el('div', { class: `notice ${kind}` }, el('p', { dir: 'auto' }, text));
      if (kind === 'problem') {
        notice.prepend(icon('warning'));
        notice.append(
          el('button', { type: 'button', class: 'round quiet', 'aria-label': t('action.close'), onclick: () => notice.remove() }, icon('close')),
        );
      } else {
        setTimeout(() => notice.remove(), STAY_MS);
      }
      element.append(notice);
      while (element.children.length > MOST) (element.querySelector('.news') ?? element.firstElementChild)?.remove();
    },
  };
}
