// The invite link: to read, to copy, to hand to another app, and to scan.

import { readToken } from '../settings.js';
import { t } from '../texts/texts.js';
import { el, setAttributes } from './dom.js';
import { icon } from './icons.js';
import { copyAndConfirm } from './parts.js';

/** Tells apart what belongs to several links on one page. */
let count = 0;

/**
 * @param {string} link
 * @param {'invite' | 'watch'} [kind] whether it is for taking part or for watching
 */
export function inviteField(link, kind = 'invite') {
  const name = kind === 'watch' ? t('people.watch_link') : t('call.link');
  const testid = (/** @type {string} */ part) => (kind === 'watch' ? `${part}-watch-link` : `${part}-link`);
  const input = el('input', {
    class: 'invite-link',
    readonly: true,
    value: link,
    'aria-label': name,
    'data-testid': `${kind}-link`,
    onfocus: () => input.select(),
  });
  const label = el('span', {}, t('action.copy'));
  // Where the page may not copy, the reader can.
  const copy = () => copyAndConfirm(link, label, () => input.select());
  const copyButton = el('button', { type: 'button', class: 'button primary', 'data-testid': testid('copy'), onclick: () => void copy() }, icon('invite'), label);
  const code = el('div', { class: 'qr-place', id: `qr-${(count += 1)}`, hidden: true });
  return el(
    'div',
    { class: 'invite' },
    el(
      'div',
      { class: 'invite-row', role: 'group', 'aria-label': name },
      input,
      copyButton,
      'share' in navigator && shareButton(link, testid('share'), copy),
      qrButton(link, testid('qr'), code),
    ),
    code,
  );
}

/** What the link is good for. A token is for one, and not handed on with it. */
export function inviteHint() {
  return el('p', { class: 'hint' }, 'token' in readToken(location.hash) ? t('invite.token') : t('call.alone_more'));
}

/**
 * Opens the system's share sheet.
 * @param {string} link
 * @param {string} testid
 * @param {() => Promise<void>} otherwise where it does not open
 */
function shareButton(link, testid, otherwise) {
  const share = async () => {
    try {
      await navigator.share({ title: t('app.title'), text: t('invite.share_text'), url: link });
    } catch (error) {
      // Whoever closes the sheet has decided not to share.
      if (!(error instanceof DOMException && error.name === 'AbortError')) await otherwise();
    }
  };
  return el('button', { type: 'button', class: 'button small', 'data-testid': testid, onclick: () => void share() }, icon('share'), t('invite.share'));
}

/**
 * Shows the QR code, and hides it again.
 * @param {string} link
 * @param {string} testid
 * @param {HTMLElement} place
 */
function qrButton(link, testid, place) {
  const toggle = async () => {
    const open = place.hidden;
    place.hidden = !open;
    setAttributes(button, { 'aria-expanded': String(open) });
    if (!open || place.querySelector('canvas')) return;
    place.replaceChildren(...(await qrContent(link)));
    // On a small screen it appears below what is seen.
    place.scrollIntoView({ block: 'nearest' });
  };
  const button = el(
    'button',
    { type: 'button', class: 'button small', 'aria-expanded': 'false', 'aria-controls': place.id, 'data-testid': testid, onclick: () => void toggle() },
    icon('qr'),
    t('invite.qr'),
  );
  return button;
}

/** @param {string} link */
async function qrContent(link) {
  try {
    const { qrCanvas } = await import('./qr.js');
    return [qrCanvas(link), el('p', { class: 'hint' }, t('invite.qr_hint'))];
  } catch {
    return [el('p', { class: 'hint', role: 'alert' }, t('invite.qr_failed'))];
  }
}
