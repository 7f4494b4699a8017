// How well a connection does, over the last minutes and in one word. Pure.

/** @import { Sample } from './sample.js' */

/** How many looks are kept: two minutes at one a second. */
export const KEPT = 120;
/** A connection finds its pace in the beginning, and after it changed its way; nothing is judged then. In milliseconds. */
export const SETTLING_MS = 6000;
/** What is judged: this many looks, of which more than half must agree. One bad second is no bad connection. */
const JUDGED = 5;
/** Looks further apart than this have nothing to do with each other, such as those of a page in the background. */
const GAP_MS = 10_000;

/**
 * Limits from which on people notice, and from which on they suffer.
 * Loss in per cent, the others in milliseconds.
 */
const LIMITS = { loss: { fair: 3, poor: 8 }, delay: { fair: 300, poor: 600 }, jitter: { fair: 50, poor: 120 } };

/**
 * What happened between two looks. Null: nothing to tell it from.
 * @typedef {object} Point
 * @property {number} at milliseconds since 1970
 * @property {number | null} roundTripMs
 * @property {number | null} lossPercent of what they send, or of what we send, whichever is worse
 * @property {number | null} jitterMs
 * @property {number | null} bitsIn per second
 * @property {number | null} bitsOut per second
 * @property {number | null} height of the picture, in pixels
 * @property {number | null} framesPerSecond
 *
 * @typedef {{level: 'good' | 'fair' | 'poor', reason: keyof typeof LIMITS | null}} Quality
 */

export class History {
  /** @type {Point[]} */ points = [];
  /** @type {Sample | null} */ latest = null;
  /** Since when the connection has gone its present way. */ #since = 0;

  /** @param {Sample} sample */
  add(sample) {
    const before = this.latest;
    this.latest = sample;
    if (sample.path === null) return;
    const fresh = !before || before.path === null || before.pair !== sample.pair || sample.at - before.at > GAP_MS;
    if (fresh) this.#since = sample.at;
    this.points.push(point(fresh ? null : before, sample));
    if (this.points.length > KEPT) this.points.shift();
  }

  /**
   * Null as long as there is too little to judge by.
   * @returns {Quality | null}
   */
  get quality() {
    const settled = this.points.filter(({ at }) => at >= this.#since + SETTLING_MS).slice(-JUDGED);
    if (settled.length < JUDGED || this.latest?.path === null) return null;
    const judged = settled.map(judge);
    const most = (/** @type {Quality['level'][]} */ ...levels) =>
      judged.filter(({ level }) => levels.includes(level)).length > JUDGED / 2;
    const level = most('poor') ? 'poor' : most('poor', 'fair') ? 'fair' : 'good';
    if (level === 'good') return { level, reason: null };
    return { level, reason: commonest(judged.flatMap(({ reason }) => reason ?? [])) };
  }
}

/**
 * @param {Sample | null} before
 * @param {Sample} now
 * @returns {Point}
 */
function point(before, now) {
  const { at, roundTripMs, video, audio } = now;
  const jitters = [audio, video].flatMap((media) => media?.jitterMs ?? []);
  const seconds = before ? (at - before.at) / 1000 : 0;
  const rate = (/** @type {'bytesIn' | 'bytesOut'} */ name) =>
    before && seconds > 0 ? Math.max(0, Math.round(((now[name] - before[name]) * 8) / seconds)) : null;
  const losses = [before ? lossBetween(before, now) : null, now.lossOut === null ? null : now.lossOut * 100].filter((loss) => loss !== null);
  return {
    at,
    roundTripMs,
    lossPercent: before && losses.length > 0 ? Math.max(...losses) : null,
    jitterMs: jitters.length > 0 ? Math.max(...jitters) : null,
    bitsIn: rate('bytesIn'),
    bitsOut: rate('bytesOut'),
    height: video?.height ?? null,
    framesPerSecond: video?.framesPerSecond ?? null,
  };
}

/**
 * Per cent of the packets between two looks. Packets that come late count as lost first and are taken back then.
 * @param {Sample} before
 * @param {Sample} now
 * @returns {number | null}
 */
function lossBetween(before, now) {
  let packets = 0;
  let lost = 0;
  for (const kind of /** @type {const} */ (['audio', 'video'])) {
    const [first, last] = [before[kind], now[kind]];
    if (!first || !last || last.packets < first.packets) continue;
    packets += last.packets - first.packets;
    lost += last.lost - first.lost;
  }
  if (packets + Math.max(0, lost) === 0) return null;
  return (Math.max(0, lost) * 100) / (packets + Math.max(0, lost));
}

/**
 * @param {Point} point
 * @returns {Quality}
 */
function judge({ lossPercent, roundTripMs, jitterMs }) {
  const values = { loss: lossPercent, delay: roundTripMs, jitter: jitterMs };
  for (const level of /** @type {const} */ (['poor', 'fair'])) {
    for (const reason of /** @type {const} */ (['loss', 'delay', 'jitter'])) {
      if ((values[reason] ?? 0) > LIMITS[reason][level]) return { level, reason };
    }
  }
  return { level: 'good', reason: null };
}

/**
 * @template T
 * @param {T[]} items
 * @returns {T | null}
 */
function commonest(items) {
  /** @type {Map<T, number>} */
  const counts = new Map();
  for (const item of items) counts.set(item, (counts.get(item) ?? 0) + 1);
  return [...counts].sort(([, a], [, b]) => b - a)[0]?.[0] ?? null;
}
