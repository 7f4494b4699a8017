// Choosing files: with a button, or by dropping them anywhere on the call.

import { t } from '../texts/texts.js';
import { el } from './dom.js';
import { icon } from './icons.js';

/** @import { Call } from '../call/call.js' */

/**
 * @param {object} options
 * @param {Call} options.call
 * @param {() => void} options.onSent at least one file was offered
 * @param {(text: string, kind: 'news' | 'problem') => void} options.onNotice
 */
export function createFileSender({ call, onSent, onNotice }) {
  /** Whether there was somebody to be asked. */
  const send = (/** @type {Iterable<File>} */ files) => {
    for (const file of files) {
      const { name, size } = file;
      const stream = (/** @type {number} */ from) => file.slice(from).stream();
      if (call.sendFile({ name, size, stream }) === 0) {
        onNotice(t('files.nobody'), 'problem');
        return false;
      }
      onSent();
    }
    return true;
  };
  const input = el('input', {
    type: 'file',
    multiple: true,
    hidden: true,
    'data-testid': 'file-input',
    onchange: () => {
      send(input.files ?? []);
      // The same file may be chosen again.
      input.value = '';
    },
  });
  const button = el(
    'button',
    { type: 'button', class: 'round quiet', 'aria-label': t('files.send'), title: t('files.send'), 'data-testid': 'send-file', onclick: () => input.click() },
    icon('attach'),
  );
  const zone = el('div', { class: 'drop-zone', hidden: true, 'aria-hidden': 'true' }, icon('file'), el('p', {}, t('files.drop')));
  return { send, input, button, zone, receiveDrops: (/** @type {HTMLElement} */ element) => receiveDrops(element, zone, send, onNotice) };
}

/**
 * A file dropped beside its target would replace the page, and end the call.
 * @param {HTMLElement} element
 * @param {HTMLElement} zone shown while something hovers
 * @param {(files: File[]) => void} send
 * @param {(text: string, kind: 'news' | 'problem') => void} onNotice
 */
function receiveDrops(element, zone, send, onNotice) {
  const hasFiles = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes('Files') ?? false;
  element.addEventListener('dragover', (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    zone.hidden = false;
  });
  element.addEventListener('dragleave', (event) => {
    const inside = event.relatedTarget instanceof Node && element.contains(event.relatedTarget);
    if (!inside) zone.hidden = true;
  });
  element.addEventListener('drop', (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    zone.hidden = true;
    const items = [...(event.dataTransfer?.items ?? [])].filter(({ kind }) => kind === 'file');
    const files = items.filter((item) => !item.webkitGetAsEntry()?.isDirectory).flatMap((item) => item.getAsFile() ?? []);
    if (files.length < items.length) onNotice(t('files.no_folders'), 'problem');
    send(files);
  });
}
