// Which screen is shown, and what connects the call to the browser.

import { debugInterface } from './debug.js';
import { nameFromPath } from './protocol/room.js';
import { SERVICE_WORKER, scriptUrl } from './scripts.js';
import { loadSettings, readQuery, saveSettings } from './settings.js';
import { chooseLanguage, t, useCheckTexts, useLanguage } from './texts/texts.js';
import { addStyles } from './view/styles.js';

/** @import { Settings } from './settings.js' */
/** @import { Language } from './texts/texts.js' */
/** @import { View } from './view/parts.js' */

const query = readQuery(location.search);
const storage = availableStorage();
const settings = loadSettings(storage);
/** By then what is to be seen and used is there, in milliseconds. */ const OFFLINE_DELAY_MS = 1000;
const app = document.getElementById('app') ?? document.body;

/** @type {View | null} */ let view = null;
/** Shows the present screen anew, in the present language. */ let rebuild = () => {};
/** @type {ReturnType<typeof import('./room-page.js').createRooms> | null} */ let rooms = null;
/** Ends the check, if one is shown. */ let closeCheck = () => {};
let updateScheduled = false;
/** In which call the reader was asked whether to leave. @type {unknown} */ let asked = null;
/** The address of what is shown. */ let shownAddress = location.href;
/** Resolved when the first language is there: the first screen is loaded at the same time. @type {Promise<void>} */ let languageReady;

function availableStorage() {
  try {
    return localStorage;
  } catch {
    return undefined;
  }
}

/** @param {Partial<Settings>} changes */
function remember(changes) {
  Object.assign(settings, changes);
  saveSettings(storage, settings);
}

/** @param {Language} language */
async function changeLanguage(language) {
  remember({ language });
  await applyLanguage(language);
  rebuild();
}

/** @param {Language} language */
async function applyLanguage(language) {
  await useLanguage(language);
  document.documentElement.lang = language;
}

/**
 * @param {() => View} build
 * @param {() => string} [title]
 */
function show(build, title) {
  rebuild = () => {
    const first = view === null;
    view?.dispose?.();
    view = build();
    app.replaceChildren(view.element);
    document.title = title ? `${title()} · ${t('app.title')}` : t('app.title');
    // How fast the page is there is measured from outside. A reader of a screen hears where they are; on the first screen
    // the browser tells by itself.
    if (first) {
      performance.mark('interactive');
      setTimeout(prepareForOffline, OFFLINE_DELAY_MS);
    } else view.element.querySelector('h1')?.focus();
  };
  rebuild();
}

/** Says so when the page is opened without a network. Calls need nothing of it. */
function prepareForOffline() {
  void navigator.serviceWorker?.register(scriptUrl(SERVICE_WORKER)).catch(() => undefined);
}

/** Several changes in one turn are shown once. */
function scheduleUpdate() {
  if (updateScheduled) return;
  updateScheduled = true;
  queueMicrotask(() => {
    updateScheduled = false;
    rooms?.settle();
    view?.update?.();
  });
}

/** @param {string} path which may say more behind `?` and `#` */
function go(path) {
  const { pathname, searchParams, hash } = new URL(path, location.href);
  const search = new URLSearchParams(location.search);
  // These were about the room that was opened.
  for (const name of ['watch', 'autojoin']) search.delete(name);
  for (const [name, value] of searchParams) search.set(name, value);
  history.pushState(null, '', pathname + (search.toString() && `?${search}`) + hash);
  route();
}

function route() {
  shownAddress = location.href;
  Object.assign(query, readQuery(location.search));
  rooms?.leave();
  closeCheck();
  // Without the server the screen cannot be had; opening the page anew says so.
  void openScreen(location.pathname).catch(() => location.reload());
}

/**
 * Each screen is loaded when it is first wanted.
 * @param {string} path
 */
async function openScreen(path) {
  const name = nameFromPath(path);
  const load = /^\/check\/*$/.test(path) ? loadCheck : name === null ? loadLanding : loadRooms;
  const [open] = await Promise.all([load(), languageReady]);
  // The reader may have gone on in the meantime.
  if (location.pathname === path) open(name ?? '');
}

async function loadLanding() {
  const { landingView } = await import('./view/landing.js');
  return () => show(() => landingView({ onJoin: go, onLanguage: changeLanguage }));
}

async function loadRooms() {
  const { createRooms } = await import('./room-page.js');
  const shell = { query, settings, socketUrl: signalingUrl(), show, view: () => view, update: scheduleUpdate, remember, changeLanguage, go };
  const opened = (rooms ??= createRooms(shell));
  return opened.open;
}

async function loadCheck() {
  const [{ openCheck }] = await Promise.all([import('./check-page.js'), languageReady.then(useCheckTexts), addStyles('check')]);
  return () => {
    const opened = openCheck({ socketUrl: signalingUrl(), onChange: scheduleUpdate });
    closeCheck = () => {
      opened.close();
      closeCheck = () => {};
    };
    show(
      () => opened.view(changeLanguage),
      () => t('check.title'),
    );
  };
}

function signalingUrl() {
  const url = new URL('/signal', location.href);
  url.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
  return url;
}

Object.defineProperty(window, 'callbox', { value: debugInterface(() => rooms?.call ?? null), enumerable: true });
addEventListener('popstate', () => {
  // The browser asks by itself where the page would be unloaded. Once a call: it may be told to show no more questions, and says no.
  const asks = rooms?.asks && asked !== rooms.call;
  asked = rooms?.call ?? null;
  if (asks && !confirm(t('call.leave_question'))) history.pushState(null, '', shownAddress);
  else route();
});
addEventListener('online', () => rooms?.call?.networkChanged());
// Some browsers tell the kind of network (Android): from Wi-Fi to mobile there is no moment without one.
const network = /** @type {(EventTarget & {type?: string}) | undefined} */ (/** @type {any} */ (navigator).connection);
let networkType = network?.type;
network?.addEventListener('change', () => {
  if (network.type !== networkType && network.type !== 'none') rooms?.call?.networkChanged();
  networkType = network.type;
});
addEventListener('pagehide', () => rooms?.hide());
addEventListener('pageshow', ({ persisted }) => persisted && rooms?.comeBack());
navigator.mediaDevices?.addEventListener('devicechange', scheduleUpdate);
// Keys that an input method takes are no keys of ours, in no field: they choose a syllable, or give up on it. Safari says so by
// the code alone (https://bugs.webkit.org/show_bug.cgi?id=165004).
addEventListener('keydown', (event) => (event.isComposing || event.keyCode === 229) && event.stopPropagation(), true);
// Links of ours change the screen without loading the page again.
document.addEventListener('click', (event) => {
  const link = event.target instanceof Element ? event.target.closest('a[href="/"], a[href="/check"]') : null;
  if (!link || link.getAttribute('target') || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  go(link.getAttribute('href') ?? '/');
});
languageReady = applyLanguage(chooseLanguage([query.language, settings.language, ...navigator.languages]));
route();
