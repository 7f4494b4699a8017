// Parts that several screens share.

import { currentLanguage, languageNames, t } from '../texts/texts.js';
import { el } from './dom.js';
import { icon, mark } from './icons.js';

/** @import { DeviceKind, DeviceProblem } from '../call/devices.js' */
/** @import { Language, TextKey } from '../texts/texts.js' */

/** How long “Copied” is shown, in milliseconds. */
const COPIED_MS = 2000;

/**
 * What is on the page: `update` shows what changed, `dispose` ends what runs.
 * @typedef {{element: HTMLElement, update?: () => void, dispose?: () => void}} View
 */

/** @type {Record<DeviceKind, TextKey>} */
export const deviceName = { microphone: 'device.microphone', camera: 'device.camera', screen: 'device.screen' };

/** @type {Record<DeviceProblem, TextKey>} */
const problemText = {
  insecure: 'problem.insecure',
  denied: 'problem.denied',
  dismissed: 'problem.dismissed',
  not_found: 'problem.not_found',
  in_use: 'problem.in_use',
  failed: 'problem.failed',
};

/**
 * @param {DeviceKind} kind
 * @param {DeviceProblem} problem
 */
export function explainProblem(kind, problem) {
  const text = t(problemText[problem], { device: t(deviceName[kind]) });
  return text[0].toUpperCase() + text.slice(1);
}

export function wordmark() {
  return el('a', { class: 'wordmark', href: '/', 'data-testid': 'home' }, mark(), el('span', {}, t('app.title')));
}

/**
 * @param {string} id
 * @param {string} label
 * @param {() => void} onclick
 */
export function smallButton(id, label, onclick) {
  return el('button', { type: 'button', class: 'button small', 'data-testid': id, onclick }, label);
}

/** To the page that finds out what is wrong; beside what goes on here, which may be a call. */
export function checkLink() {
  return el('a', { class: 'link', href: '/check', target: '_blank', rel: 'noopener' }, t('check.link'));
}

/** @param {(language: Language) => void} onLanguage */
export function languageSwitch(onLanguage) {
  const select = el('select', {
    class: 'language',
    'aria-label': t('language.label'),
    'data-testid': 'language',
    onchange: () => onLanguage(/** @type {Language} */ (select.value)),
  });
  for (const [language, name] of Object.entries(languageNames)) {
    select.append(el('option', { value: language, lang: language, selected: language === currentLanguage() }, name));
  }
  return select;
}

/** @param {HTMLElement} label */
function confirmCopy(label) {
  const before = label.dataset.label ?? label.textContent ?? '';
  label.dataset.label = before;
  label.textContent = t('action.copied');
  setTimeout(() => {
    label.textContent = before;
  }, COPIED_MS);
}

/**
 * @param {string} text
 * @returns {Promise<boolean>} false where the clipboard is closed to the page, such as to an insecure one
 */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

/**
 * What a click on a copying button does.
 * @param {string} text
 * @param {HTMLElement} label of the button; says so when it is done
 * @param {() => void} otherwise for where the clipboard is closed
 */
export async function copyAndConfirm(text, label, otherwise) {
  if (await copy(text)) confirmCopy(label);
  else otherwise();
}

/**
 * @param {string} text
 * @param {string} name
 */
export function saveJson(text, name) {
  const url = URL.createObjectURL(new Blob([text], { type: 'application/json' }));
  el('a', { href: url, download: name }).click();
  URL.revokeObjectURL(url);
}

/**
 * A page that says one thing and offers what to do next.
 * @param {{title: string, text: string, symbol: import('./icons.js').IconName, actions: HTMLElement[], more: HTMLElement | null,
 *   onLanguage: (language: Language) => void, alert: boolean}} content
 * @returns {View}
 */
export function messageView({ title, text, symbol, actions, more, onLanguage, alert }) {
  return {
    element: el(
      'div',
      { class: 'page message-page' },
      el('header', { class: 'page-head' }, wordmark(), languageSwitch(onLanguage)),
      el(
        'main',
        { class: 'message' },
        el('div', { class: `message-symbol${alert ? ' warn' : ''}` }, icon(symbol)),
        el(
          'div',
          { class: 'message-words', role: alert ? 'alert' : null },
          el('h1', { tabindex: -1, 'data-testid': alert ? 'error-title' : 'end-title' }, title),
          el('p', { class: 'lead' }, text),
        ),
        el('div', { class: 'actions' }, ...actions),
        more,
      ),
    ),
  };
}
