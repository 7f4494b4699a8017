// “Will it work for me?”: every check as a line that changes while it runs.

import { report } from '../check/report.js';
import { t } from '../texts/texts.js';
import { createDeviceChecks } from './check-devices.js';
import { el, setAttributes, setText } from './dom.js';
import { icon } from './icons.js';
import { copyAndConfirm, languageSwitch, saveJson, smallButton, wordmark } from './parts.js';

/** @import { Devices } from '../call/devices.js' */
/** @import { Check } from '../check/check.js' */
/** @import { FindingState, Group, Message, Row } from '../check/finding.js' */
/** @import { Verdict } from '../check/verdict.js' */
/** @import { TextKey } from '../texts/texts.js' */
/** @import { IconName } from './icons.js' */
/** @import { View } from './parts.js' */

/** The file that a report is saved as. */
const REPORT_NAME = 'callbox-check.json';

/** @type {[Group, TextKey][]} */
const GROUPS = [
  ['server', 'check.group_server'],
  ['relay', 'check.group_relay'],
  ['media', 'check.group_media'],
  ['device', 'check.group_device'],
];

/** @type {Record<FindingState, {text: TextKey, symbol: IconName | null}>} */
const STATES = {
  pending: { text: 'check.state_pending', symbol: null },
  ok: { text: 'check.state_ok', symbol: 'check' },
  failed: { text: 'check.state_failed', symbol: 'warning' },
  not_applicable: { text: 'check.state_not_applicable', symbol: 'unknown' },
};

/** @type {Record<Verdict['level'], IconName | null>} */
const SYMBOLS = { running: null, good: 'check', limited: 'warning', bad: 'close' };

/**
 * @param {Message | null} message
 */
function say(message) {
  if (!message) return '';
  const values = Object.entries(message.values ?? {}).map(([name, value]) => [name, typeof value === 'object' ? t(value.key) : value]);
  const text = t(message.key, Object.fromEntries(values));
  return text[0].toUpperCase() + text.slice(1);
}

/**
 * @param {object} options
 * @param {Check} options.check
 * @param {Devices} options.devices
 * @param {string} options.origin
 * @param {string} options.browser
 * @param {(language: import('../texts/texts.js').Language) => void} options.onLanguage
 * @returns {View}
 */
export function checkView({ check, devices, origin, browser, onLanguage }) {
  const written = () => {
    const { rows, verdict } = check;
    return `${JSON.stringify(report({ rows, verdict, origin, browser, at: Date.now() }), null, 2)}\n`;
  };
  const summary = createSummary();
  const deviceChecks = createDeviceChecks({ check, devices });
  const lists = GROUPS.map(([group, title]) => ({ group, title, list: createList(deviceChecks.controls) }));
  // Not disabled while it runs: whoever pressed it with the keyboard would lose their place.
  const again = smallButton('check-again', t('check.again'), () => void (check.done && check.start()));
  const element = el(
    'div',
    { class: 'page check' },
    el('header', { class: 'page-head' }, wordmark(), languageSwitch(onLanguage)),
    el(
      'main',
      { class: 'check-main' },
      el('h1', { tabindex: -1 }, t('check.title')),
      el('p', { class: 'lead' }, t('check.lead')),
      summary.element,
      el('div', { class: 'check-actions' }, again, copyButton(written), smallButton('check-save', t('check.save'), () => saveJson(written(), REPORT_NAME))),
      el('p', { class: 'hint' }, t('check.report_hint')),
      ...lists.map(({ group, title, list }) =>
        el('section', { 'aria-labelledby': `check-${group}` }, el('h2', { id: `check-${group}` }, t(title)), list.element),
      ),
    ),
  );
  const update = () => {
    summary.show(check.verdict);
    setAttributes(again, { 'aria-disabled': String(!check.done) });
    for (const { group, list } of lists) list.show(check.rows.filter((row) => row.group === group));
    deviceChecks.update();
  };
  update();
  return { element, update, dispose: deviceChecks.dispose };
}

/** @param {() => string} written */
function copyButton(written) {
  const label = el('span', {}, t('check.copy'));
  const element = el('button', { type: 'button', class: 'button small', 'data-testid': 'check-copy' }, label);
  element.addEventListener('click', () => {
    const text = written();
    void copyAndConfirm(text, label, () => saveJson(text, REPORT_NAME));
  });
  return element;
}

function createSummary() {
  const symbol = el('span', { class: 'check-symbol' });
  const title = el('p', { class: 'check-verdict' });
  const text = el('p', {});
  const advice = el('p', { class: 'check-advice' });
  const words = el('div', { role: 'status', 'data-testid': 'check-verdict' }, title, text, advice);
  const element = el('div', { class: 'check-summary' }, symbol, words);
  let shown = '';
  return {
    element,
    /** @param {Verdict} verdict */
    show({ level, title: key, text: more, advice: todo }) {
      if (shown !== level) symbol.replaceChildren(symbolOf(SYMBOLS[level], true));
      shown = level;
      element.dataset.level = level;
      setText(title, t(key));
      setText(text, say(more));
      setText(advice, say(todo));
      advice.hidden = todo === null;
    },
  };
}

/**
 * @param {IconName | null} name
 * @param {boolean} moving what there is to see while nothing is decided
 */
function symbolOf(name, moving) {
  return name ? icon(name) : el('span', { class: moving ? 'spinner' : 'check-dot' });
}

/** @param {Record<string, HTMLElement>} controls what stands below the row of that id */
function createList(controls) {
  const element = el('ul', { class: 'check-rows' });
  /** @type {Map<string, ReturnType<typeof createRow>>} */
  const known = new Map();
  return {
    element,
    /** @param {Row[]} rows */
    show(rows) {
      for (const [id, row] of known) {
        if (rows.some((other) => other.id === id)) continue;
        row.element.remove();
        known.delete(id);
      }
      for (const row of rows) {
        const shown = known.get(row.id) ?? createRow(row, controls[row.id]);
        if (!known.has(row.id)) element.append(shown.element);
        known.set(row.id, shown);
        shown.show(row);
      }
    },
  };
}

/**
 * @param {Row} row
 * @param {HTMLElement | undefined} controls
 */
function createRow({ id, title }, controls) {
  const symbol = el('span', { class: 'check-symbol' });
  const state = el('span', { class: 'check-state' });
  const text = el('p', { class: 'check-text' });
  const advice = el('p', { class: 'check-advice' });
  const url = id.startsWith('ice:') ? el('code', { class: 'check-url' }, id.slice(4)) : null;
  const element = el(
    'li',
    { class: 'check-row', 'data-check': id },
    symbol,
    el('div', { class: 'check-words' }, el('h3', {}, say(title), state), url, text, advice, controls),
  );
  let shown = '';
  return {
    element,
    /** @param {Row} row */
    show({ finding, group }) {
      const waiting = finding.state === 'pending' && group === 'device';
      const { text: key, symbol: name } = STATES[finding.state];
      if (shown !== finding.state) symbol.replaceChildren(symbolOf(name, !waiting));
      shown = finding.state;
      setAttributes(element, { 'data-state': finding.state });
      setText(state, t(waiting ? 'check.state_waiting' : key));
      setText(text, say(finding.text));
      setText(advice, say(finding.advice));
      text.hidden = !finding.text;
      advice.hidden = !finding.advice;
    },
  };
}
