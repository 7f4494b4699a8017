// After a call, or instead of one.

import { ROOM_CHARACTERS } from '../protocol/room.js';
import { t } from '../texts/texts.js';
import { el } from './dom.js';
import { icon } from './icons.js';
import { checkLink, messageView } from './parts.js';

/** @import { TextKey } from '../texts/texts.js' */
/** @import { IconName } from './icons.js' */

/** @type {Record<string, {title: TextKey, text: TextKey, symbol: IconName}>} */
const ENDS = {
  left: { title: 'end.left', text: 'end.left_more', symbol: 'leave' },
  room_full: { title: 'error.room_full', text: 'error.room_full_more', symbol: 'warning' },
  room_locked: { title: 'error.room_locked', text: 'error.room_locked_more', symbol: 'lock' },
  unauthorized: { title: 'error.unauthorized', text: 'error.unauthorized_more', symbol: 'lock' },
  forbidden: { title: 'error.forbidden', text: 'error.forbidden_more', symbol: 'lock' },
  kicked: { title: 'error.kicked', text: 'error.kicked_more', symbol: 'leave' },
  replaced: { title: 'error.replaced', text: 'error.replaced_more', symbol: 'relayed' },
  long: { title: 'error.room_name', text: 'room.long', symbol: 'warning' },
  invisible: { title: 'error.room_name', text: 'room.invisible', symbol: 'warning' },
  unsupported: { title: 'error.unsupported', text: 'error.unsupported_more', symbol: 'warning' },
};

/** Entering again would change nothing. */
const FINAL = ['long', 'invisible', 'unsupported'];

/** @type {typeof ENDS[string]} */
const OTHER = { title: 'error.other', text: 'error.other_more', symbol: 'warning' };

/**
 * @param {object} options
 * @param {string} options.reason `left`, `kicked`, `unsupported`, what is the matter with the room's name, or the server's error code
 * @param {() => void} options.onAgain
 * @param {() => void} options.onHome
 * @param {(language: import('../texts/texts.js').Language) => void} options.onLanguage
 */
export function endView({ reason, onAgain, onHome, onLanguage }) {
  const { title, text, symbol } = Object.hasOwn(ENDS, reason) ? ENDS[reason] : OTHER;
  const again = el(
    'button',
    { type: 'button', class: 'button primary', 'data-testid': 'enter-again', onclick: onAgain },
    icon('camera'),
    t('end.rejoin'),
  );
  const home = el('button', { type: 'button', class: 'button', 'data-testid': 'to-start', onclick: onHome }, t('action.home'));
  return messageView({
    title: t(title),
    text: t(text, { code: reason, count: ROOM_CHARACTERS }),
    symbol,
    actions: FINAL.includes(reason) ? [home] : [again, home],
    more: Object.hasOwn(ENDS, reason) && reason !== 'unsupported' ? null : checkLink(),
    onLanguage,
    alert: reason !== 'left',
  });
}
