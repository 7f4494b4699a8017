// The page's language: the reader's own where we have it, English otherwise.

/** @typedef {keyof typeof import('./en.js').en} CommonKey */
/** @typedef {keyof typeof import('./en-check.js').enCheck} CheckKey */
/** @typedef {CommonKey | CheckKey} TextKey */
/** @typedef {'en' | 'ko'} Language */

/** A reader needs one of them. @type {Record<Language, () => Promise<Record<CommonKey, string>>>} */
const COMMON = {
  en: async () => (await import('./en.js')).en,
  ko: async () => (await import('./ko.js')).ko,
};
/** And these only on the page that tells whether calls will work. @type {Record<Language, () => Promise<Record<CheckKey, string>>>} */
const CHECK = {
  en: async () => (await import('./en-check.js')).enCheck,
  ko: async () => (await import('./ko-check.js')).koCheck,
};
/** @type {Partial<Record<Language, Partial<Record<TextKey, string>>>>} */
const loaded = {};
/** Whether those of the check are wanted, too. */
let checking = false;

/** Each language in its own words. @type {Record<Language, string>} */
export const languageNames = { en: 'English', ko: '한국어' };

/** @type {Language} */
let current = 'en';

/**
 * The first of the wanted languages that we have.
 * @param {readonly (string | null | undefined)[]} wanted BCP 47 tags, most wanted first
 * @returns {Language}
 */
export function chooseLanguage(wanted) {
  for (const tag of wanted) {
    const language = tag?.toLowerCase().split('-')[0];
    if (language === 'en' || language === 'ko') return language;
  }
  return 'en';
}

/**
 * Has everything said in a language from now on.
 * @param {Language} language
 */
export async function useLanguage(language) {
  const [common, check] = await Promise.all([COMMON[language](), checking ? CHECK[language]() : {}]);
  loaded[language] = { ...common, ...check };
  current = language;
}

/** Loads what only the check says, in the present language and in those to come. */
export async function useCheckTexts() {
  checking = true;
  await useLanguage(current);
}

export function currentLanguage() {
  return current;
}

/**
 * The text of a key, with its `{placeholders}` filled.
 * @param {TextKey} key
 * @param {Record<string, string | number>} [values]
 */
export function t(key, values = {}) {
  return (loaded[current]?.[key] ?? key).replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
}

const UNITS = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'];

/**
 * @param {number} bytes
 * @returns {string} such as `1.5 MB`
 */
export function fileSize(bytes) {
  const power = Math.min(UNITS.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  const maximumFractionDigits = power === 0 ? 0 : 1;
  const format = new Intl.NumberFormat(current, { style: 'unit', unit: UNITS[power], unitDisplay: 'short', maximumFractionDigits });
  return format.format(bytes / 1000 ** power);
}

/**
 * @param {number} bitsPerSecond
 * @returns {string} such as `1.5 Mb/s`
 */
export function bitRate(bitsPerSecond) {
  const [unit, size] = bitsPerSecond < 1e6 ? ['kilobit-per-second', 1e3] : ['megabit-per-second', 1e6];
  const maximumFractionDigits = size === 1e3 ? 0 : 1;
  return new Intl.NumberFormat(current, { style: 'unit', unit, unitDisplay: 'short', maximumFractionDigits }).format(bitsPerSecond / size);
}

/**
 * @param {number} seconds
 * @returns {string} such as `3 min`
 */
export function duration(seconds) {
  const [unit, length] = seconds < 90 ? ['second', 1] : seconds < 5400 ? ['minute', 60] : ['hour', 3600];
  return new Intl.NumberFormat(current, { style: 'unit', unit, unitDisplay: 'short', maximumFractionDigits: 0 }).format(Math.ceil(seconds / length));
}

/** @param {number} at milliseconds since 1970 */
export function timeOfDay(at) {
  return new Intl.DateTimeFormat(current, { hour: 'numeric', minute: '2-digit' }).format(at);
}
