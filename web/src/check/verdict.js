// All findings in one sentence: will a call work from here? Pure.

/** @import { TextKey } from '../texts/texts.js' */
/** @import { Finding, Message, Row } from './finding.js' */
/** @import { IceUrl } from './ice_url.js' */

/**
 * @typedef {object} Verdict
 * @property {'running' | 'good' | 'limited' | 'bad'} level
 * @property {TextKey} title
 * @property {Message} text
 * @property {Message | null} advice
 */

/** @type {Verdict} */
const RUNNING = { level: 'running', title: 'check.running', text: { key: 'check.running_more' }, advice: null };

/**
 * What waits for a click does not count until it was tried.
 * @param {Row[]} rows
 * @param {boolean} done whether everything that runs by itself has run
 * @returns {Verdict}
 */
export function verdict(rows, done) {
  if (!done) return RUNNING;
  const of = (/** @type {string} */ id) => rows.find((row) => row.id === id)?.finding;
  const page = of('page');
  const socket = of('socket');
  if (page?.state === 'failed' && page.facts.webrtc === false) return is('bad', 'check.bad', page);
  if (socket?.state === 'failed') return is('bad', 'check.bad', socket);
  if (page?.state === 'failed') return is('limited', 'check.limited', page);
  if (socket?.facts.kind === 'refused') return is('limited', 'check.limited', socket);
  return relayVerdict(rows, of('loopback')) ?? deviceVerdict(rows) ?? remaining(rows);
}

/**
 * @param {Verdict['level']} level
 * @param {TextKey} title
 * @param {Finding} finding
 * @returns {Verdict}
 */
function is(level, title, { text, advice }) {
  return { level, title, text: text ?? RUNNING.text, advice };
}

/**
 * @param {Row[]} rows
 * @param {Finding | undefined} loopback
 * @returns {Verdict | null} null when the relay carries
 */
function relayVerdict(rows, loopback) {
  const turns = rows.filter(({ id }) => /^ice:turn/i.test(id)).map(({ finding }) => finding);
  const limited = (/** @type {TextKey} */ key, /** @type {Finding | undefined} */ finding) =>
    /** @type {Verdict} */ ({ level: 'limited', title: 'check.limited', text: { key }, advice: finding?.advice ?? null });
  if (turns.length === 0) return { level: 'limited', title: 'check.limited', text: { key: 'check.without_relay' }, advice: null };
  const working = turns.filter(({ state }) => state === 'ok');
  const broken = turns.find(({ state }) => state === 'failed');
  if (working.length === 0) return limited('check.relay_dead', broken);
  if (loopback?.state === 'failed') return is('limited', 'check.limited', loopback);
  const over = (/** @type {Finding} */ { facts }) => /** @type {IceUrl['transport']} */ (facts.transport);
  if (turns.some((finding) => over(finding) === 'udp') && !working.some((finding) => over(finding) === 'udp')) {
    return { level: 'limited', title: 'check.slow_way', text: { key: 'check.without_udp' }, advice: { key: 'check.without_udp_do' } };
  }
  return null;
}

/**
 * @param {Row[]} rows
 * @returns {Verdict | null}
 */
function deviceVerdict(rows) {
  const broken = rows.find(({ id, finding }) => ['camera', 'microphone', 'speaker'].includes(id) && finding.state === 'failed');
  return broken ? is('limited', 'check.limited_device', broken.finding) : null;
}

/**
 * @param {Row[]} rows
 * @returns {Verdict}
 */
function remaining(rows) {
  const broken = rows.find(({ id, finding }) => id !== 'nat' && finding.state === 'failed');
  if (broken) {
    return { level: 'good', title: 'check.good', text: { key: 'check.good_but' }, advice: broken.finding.advice };
  }
  return { level: 'good', title: 'check.good', text: { key: 'check.good_more' }, advice: null };
}
