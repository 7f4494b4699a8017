// The report for whoever runs the server: all findings, in English, without credentials. Pure.

import { enCheck } from '../texts/en-check.js';
import { en } from '../texts/en.js';

/** @import { Message, Row } from './finding.js' */
/** @import { Verdict } from './verdict.js' */

/** What findings are said with. */
const TEXTS = { ...en, ...enCheck };

/**
 * @param {object} options
 * @param {readonly Row[]} options.rows
 * @param {Verdict} options.verdict
 * @param {string} options.origin
 * @param {string} options.browser
 * @param {number} options.at milliseconds since 1970
 */
export function report({ rows, verdict, origin, browser, at }) {
  return {
    checked_at: new Date(at).toISOString(),
    page: origin,
    browser,
    verdict: verdict.level,
    summary: inEnglish(verdict.text),
    checks: rows.map(({ id, finding }) => ({
      check: id,
      state: finding.state,
      ...(finding.text && { found: inEnglish(finding.text), code: finding.text.key }),
      ...(finding.advice && { advice: inEnglish(finding.advice) }),
      facts: finding.facts,
    })),
  };
}

/** @param {Message} message */
function inEnglish({ key, values = {} }) {
  return TEXTS[key].replace(/\{(\w+)\}/g, (whole, name) => {
    const value = values[name];
    return typeof value === 'object' ? TEXTS[value.key] : String(value ?? whole);
  });
}
