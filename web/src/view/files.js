// Files to and from the others, each as a card in the chat.

import { duration, fileSize, t } from '../texts/texts.js';
import { el, setAttributes, setText } from './dom.js';
import { icon } from './icons.js';

/** @import { Call } from '../call/call.js' */
/** @import { Destinations } from '../call/files/destination.js' */
/** @import { FailureReason } from '../call/files/messages.js' */
/** @import { IncomingTransfer } from '../call/files/incoming.js' */
/** @import { OutgoingTransfer } from '../call/files/outgoing.js' */
/** @import { Transfer } from '../call/files/transfer.js' */
/** @import { TextKey } from '../texts/texts.js' */

/** How long the browser has to take a saved file, in milliseconds, before its address is given back. */
const SAVE_MS = 60_000;

/** @type {Record<FailureReason, TextKey>} */
const FAILURES = {
  size: 'files.failed_size',
  hash: 'files.failed_hash',
  read: 'files.failed_read',
  write: 'files.failed_write',
  lost: 'files.failed_lost',
  limit: 'files.failed_limit',
};

/**
 * A file with the person at the other end. Theirs has a number of its own, so that ours and theirs are told apart.
 * @typedef {{name: string, open: () => boolean} & ({incoming: IncomingTransfer, outgoing?: undefined}
 *   | {outgoing: OutgoingTransfer, incoming?: undefined})} Entry
 */

/**
 * @param {object} options
 * @param {Call} options.call
 * @param {Destinations} options.destinations
 * @param {(text: string, kind: 'news' | 'problem') => void} options.onNotice
 */
export function createFileCards({ call, destinations, onNotice }) {
  /** @type {Map<Transfer, ReturnType<typeof createCard>>} */
  const cards = new Map();
  return {
    /**
     * @param {(card: HTMLElement) => void} add shows a card that is new
     */
    update(add) {
      for (const entry of entriesOf(call)) {
        const transfer = entry.incoming ?? entry.outgoing;
        if (cards.has(transfer)) continue;
        const card = createCard(entry, destinations, onNotice);
        cards.set(transfer, card);
        add(card.element);
      }
      for (const card of cards.values()) card.update();
    },
    /** Offers that wait for the reader's answer. */
    get waiting() {
      return entriesOf(call).filter(({ incoming }) => incoming?.state === 'offered').length;
    },
  };
}

/**
 * @param {Call} call
 * @returns {Entry[]}
 */
export function entriesOf(call) {
  return call.participants.flatMap((participant) => {
    const { files } = participant;
    const person = { name: participant.name || t('call.guest'), open: () => files.open };
    return [
      ...files.incoming.map((incoming) => ({ ...person, incoming })),
      ...files.outgoing.map((outgoing) => ({ ...person, outgoing })),
    ];
  });
}

/**
 * @param {Entry} entry
 * @param {Destinations} destinations
 * @param {(text: string, kind: 'news' | 'problem') => void} onNotice
 */
function createCard(entry, destinations, onNotice) {
  const { incoming, outgoing, name } = entry;
  const transfer = incoming ?? outgoing;
  const mine = outgoing !== undefined;
  const state = el('p', { class: 'file-state' });
  const bar = el('progress', { max: Math.max(1, transfer.size), value: 0, 'aria-label': t('files.progress', { name: transfer.name }) });
  const action = (/** @type {string} */ id, /** @type {string} */ label, /** @type {() => void} */ onclick, extra = '') =>
    el('button', { type: 'button', class: `button small${extra}`, 'data-testid': id, onclick }, label);
  const accept = action('file-accept', t('files.accept'), () => void agree(), ' primary');
  const refuse = action('file-refuse', t('files.refuse'), () => incoming?.refuse());
  const pause = action('file-pause', '', () => (transfer.pausedHere ? transfer.resumeHere(mine) : transfer.pauseHere(mine)));
  const cancel = action('file-cancel', t('files.cancel'), () => transfer.cancel());
  const again = action('file-save', t('files.save_again'), () => void save());
  const agree = async () => {
    if (!incoming) return;
    accept.disabled = true;
    const answer = await destinations.accept(incoming).catch(() => /** @type {const} */ ('too_large'));
    accept.disabled = false;
    if (answer === 'too_large') onNotice(t('files.too_large'), 'problem');
  };
  const save = async () => {
    const saved = incoming && destinations.saved(incoming);
    if (!saved) return;
    const url = URL.createObjectURL(await saved());
    el('a', { href: url, download: transfer.name }).click();
    setTimeout(() => URL.revokeObjectURL(url), SAVE_MS);
  };
  const element = el(
    'div',
    // Progress would be read aloud all the time; what matters is told by notices.
    { class: `file-card${mine ? ' own' : ''}`, role: 'group', 'aria-label': transfer.name, 'aria-live': 'off', 'data-testid': 'file' },
    icon('file'),
    el(
      'div',
      { class: 'file-words' },
      el('p', { class: 'file-name', dir: 'auto' }, transfer.name),
      el('p', { class: 'file-meta' }, `${fileSize(transfer.size)} · ${t(mine ? 'files.to' : 'files.from', { name })}`),
      bar,
      state,
      el('div', { class: 'file-actions' }, accept, refuse, pause, cancel, again),
    ),
  );
  let shown = transfer.state;
  const update = () => {
    const { state: now } = transfer;
    setAttributes(element, { 'data-state': now });
    setText(state, describe(entry));
    bar.value = transfer.size === 0 && transfer.ended ? 1 : transfer.bytes;
    bar.hidden = !['running', 'checking', 'saving'].includes(now);
    accept.hidden = refuse.hidden = !(incoming && now === 'offered');
    pause.hidden = now !== 'running';
    setText(pause, transfer.pausedHere ? t('files.resume') : t('files.pause'));
    cancel.hidden = transfer.ended || !accept.hidden;
    again.hidden = !(incoming && now === 'done' && destinations.saved(incoming));
    if (shown === now) return;
    shown = now;
    if (now === 'done' && incoming) {
      onNotice(t('notice.file_done', { file: transfer.name }), 'news');
      void save();
    } else if (now === 'failed') onNotice(`${transfer.name}: ${describe(entry)}`, 'problem');
  };
  return { element, update };
}

/**
 * How a transfer is getting on.
 * @param {Entry} entry
 */
function describe({ incoming, outgoing, name, open }) {
  const transfer = incoming ?? outgoing;
  const values = { name, done: fileSize(transfer.bytes), size: fileSize(transfer.size) };
  switch (transfer.state) {
    case 'offered':
      return t(incoming ? 'files.offered_there' : 'files.offered_here');
    case 'running':
      if (transfer.pausedHere) return t('files.paused_here', values);
      if (!open()) return t('files.away', values);
      if (transfer.pausedThere) return t('files.paused_there', values);
      if (transfer.speed === 0) return t('files.starting', values);
      return t('files.running', {
        ...values,
        speed: fileSize(transfer.speed),
        left: duration((transfer.size - transfer.bytes) / transfer.speed),
      });
    case 'checking':
      return t('files.checking');
    case 'saving':
      return t('files.saving');
    case 'done':
      return t(incoming ? 'files.done_here' : 'files.done_there');
    case 'refused':
      return t(incoming ? 'files.refused_here' : 'files.refused_there', values);
    case 'cancelled':
      return t('files.cancelled');
    case 'failed':
      return t(FAILURES[transfer.reason ?? 'lost'], values);
  }
}
