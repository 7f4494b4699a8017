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

/** To make one takes a browser longer than all else that is done to show a number. @type {Map<string, Intl.NumberFormat>} */
const formats = new Map();

/**
 * As the language writes it.
 * @param {number} value
 * @param {Intl.NumberFormatOptions} options
 */
function inWords(value, options) {
  const key = JSON.stringify([current, options]);
  const format = formats.get(key) ?? new Intl.NumberFormat(current, options);
  formats.set(key, format);
  return format.format(value);
}

/**
 * @param {number} value
 * @param {string} unit that `Intl` knows
 * @param {number} maximumFractionDigits
 * @param {'short' | 'long'} [unitDisplay]
 */
function inUnits(value, unit, maximumFractionDigits, unitDisplay = 'short') {
  return inWords(value, { style: 'unit', unit, unitDisplay, maximumFractionDigits });
}

/** Sizes of pictures have four digits, which nobody groups. @type {Intl.NumberFormatOptions} */
const PLAIN = { maximumFractionDigits: 1, useGrouping: 'min2' };

/**
 * The text of a key, with its `{placeholders}` filled: numbers as the language writes them, text as it is.
 * @param {TextKey} key
 * @param {Record<string, string | number>} [values]
 */
export function t(key, values = {}) {
  return (loaded[current]?.[key] ?? key).replace(/\{(\w+)\}/g, (whole, name) => {
    const value = values[name] ?? whole;
    return typeof value === 'number' ? inWords(value, PLAIN) : value;
  });
}

const UNITS = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'];

/**
 * @param {number} bytes
 * @returns {string} such as `1.5 MB`
 */
export function fileSize(bytes) {
  const power = Math.min(UNITS.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  // In short a byte is “5 byte”.
  if (power === 0) return inUnits(bytes, UNITS[0], 0, 'long');
  return inUnits(bytes / 1000 ** power, UNITS[power], 1);
}

/**
 * @param {number} bitsPerSecond
 * @returns {string} such as `1.5 Mb/s`
 */
export function bitRate(bitsPerSecond) {
  if (bitsPerSecond < 1e6) return inUnits(bitsPerSecond / 1e3, 'kilobit-per-second', 0);
  return inUnits(bitsPerSecond / 1e6, 'megabit-per-second', 1);
}

/**
 * @param {number} seconds
 * @returns {string} such as `3 min`
 */
export function duration(seconds) {
  if (seconds < 90) return inUnits(Math.ceil(seconds), 'second', 0);
  if (seconds < 5400) return inUnits(Math.ceil(seconds / 60), 'minute', 0);
  return inUnits(Math.ceil(seconds / 3600), 'hour', 0);
}

/** @param {number} at milliseconds since 1970 */
export function timeOfDay(at) {
  return new Intl.DateTimeFormat(current, { hour: 'numeric', minute: '2-digit' }).format(at);
}
