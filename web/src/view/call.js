// The call: stage, controls, chat, and what people are told while it runs.

import { cut } from '../protocol/room.js';
import { t } from '../texts/texts.js';
import { createChat } from './chat.js';
import { CallActions, createControls, REACTION_SIGNS } from './controls.js';
import { el, setAttributes, setText } from './dom.js';
import { createFileSender } from './file-drop.js';
import { icon, mark } from './icons.js';
import { inviteField, inviteHint } from './invite.js';
import { createNotices } from './notices.js';
import { checkLink, copyAndConfirm, deviceName, explainProblem, languageSwitch } from './parts.js';
import { liveMeter, showToggle } from './preview.js';
import { listenForShortcuts } from './shortcuts.js';
import { createStage } from './stage.js';
import { addStyles } from './styles.js';

/** @import { Call, Notice } from '../call/call.js' */
/** @import { DeviceKind, Devices } from '../call/devices.js' */
/** @import { Settings } from '../settings.js' */
/** @import { View } from './parts.js' */
/** @typedef {ReturnType<typeof import('./panels.js').createPanels>} Panels */
/** @typedef {{createFileCards: typeof import('./files.js').createFileCards, destinations: import('../call/files/destination.js').Destinations}} Files */

/** How often loudness is looked at, in milliseconds. */
const SPEAKING_INTERVAL_MS = 250;
/** When what shows files is wanted from the server again after a failure, in milliseconds. */ const CARDS_RETRY_MS = 5000;

/**
 * What the reader has made of the view, which outlives it when it is built anew in another language.
 * @typedef {{chatOpen: boolean, read: number, draft: string, pinned: string | null}} Arrangement
 *
 * @typedef {View & {notify: (notice: Notice) => void, deviceLost: (kind: DeviceKind, next: string | null) => void, arrangement: () => Arrangement}} CallView
 *
 * @param {object} options
 * @param {Call} options.call
 * @param {Devices} options.devices
 * @param {string} options.selfName
 * @param {string} options.room
 * @param {string} options.link
 * @param {Arrangement | null} options.before of the view that this one takes the place of
 * @param {boolean} options.explained whether the reader knows which devices could not be opened
 * @param {string} options.watchLink for those who shall only watch
 * @param {() => Promise<Files>} options.loadFiles what shows files and keeps them
 * @param {Settings} options.settings as they are now
 * @param {(changes: Partial<Settings>) => void} options.onSettings
 * @param {() => void} options.onLeave
 * @param {(language: import('../texts/texts.js').Language) => void} options.onLanguage
 * @returns {CallView}
 */
export function callView({ call, devices, selfName, room, link, before, explained, watchLink, loadFiles, settings, onSettings, onLeave, onLanguage }) {
  let chatOpen = before?.chatOpen ?? false;
  let readCount = before?.read ?? call.chatCount;
  const notices = createNotices();
  const cards = lateCards(async () => {
    const { createFileCards, destinations } = await loadFiles();
    return createFileCards({ call, destinations, onNotice: notices.show });
  });
  const sender = createFileSender({ call, onNotice: notices.show, onSent: () => !chatOpen && setChatOpen(true) });
  const meter = liveMeter(devices);
  const sound = soundBanner(() => stage.startSound());
  const stage = createStage({
    call,
    devices,
    selfName,
    ownLevel: meter.level,
    mode: () => settings.layout,
    speaker: () => settings.speaker,
    pinned: before?.pinned ?? null,
    onSoundBlocked: sound.show,
    onDetails: (id) => withPanels((panels) => panels.openConnection(id)),
  });
  const change = (/** @type {Partial<Settings>} */ changes) => {
    onSettings(changes);
    update();
  };
  /** @type {Panels | null} */ let panels = null;
  const loadPanels = async () => {
    const [{ createPanels }] = await Promise.all([import('./panels.js'), addStyles('panel', 'connection')]);
    if (!panels) {
      panels = createPanels({ call, devices, selfName, link, watchLink, settings, onSettings: change });
      stagePart.append(...panels.elements);
    }
    return panels;
  };
  const withPanels = (/** @type {(panels: Panels) => void} */ act) => void loadPanels().then(act, () => notices.show(t('call.panel_missing'), 'problem'));
  const toggleLayout = () => change({ layout: settings.layout === 'grid' ? 'speaker' : 'grid' });
  const setChatOpen = (/** @type {boolean} */ open) => {
    chatOpen = open;
    update();
    if (open) chat.focus();
    else controls.focusChat();
  };
  const onLong = (/** @type {string} */ text) => {
    const offered = sender.send([new File([text], 'chat.txt', { type: 'text/plain' })]);
    if (offered) notices.show(t('chat.as_file'), 'news');
    return offered;
  };
  const chat = createChat({
    call,
    cards,
    sendFile: [sender.input, sender.button],
    draft: before?.draft ?? '',
    onLong,
    onNotice: notices.show,
    onClose: () => setChatOpen(false),
  });
  const actions = new CallActions(call, devices);
  const onPeople = () => withPanels((panels) => panels.togglePeople());
  const onPreferences = () => withPanels((panels) => panels.toggleSettings());
  const onChat = () => setChatOpen(!chatOpen);
  const controls = createControls({ actions, onLeave, onChat, onPeople, onSettings: onPreferences });
  const bannerWords = el('span', {});
  const why = checkLink();
  const banner = el('p', { class: 'banner', 'data-testid': 'signaling-banner' }, bannerWords, why);
  // There from the beginning: screen readers say what comes into a live region, and nothing of one that appears with it.
  const banners = el('div', { class: 'banners', role: 'status' }, banner, sound.element);
  const alone = el(
    'section',
    { class: 'alone', 'data-testid': 'alone' },
    el('h2', {}, call.watching ? t('call.nothing_to_watch') : t('call.alone')),
    ...(call.watching ? [el('p', {}, t('call.nothing_to_watch_more'))] : [inviteHint(), inviteField(link)]),
  );
  const audienceCount = el('span', {});
  const audience = el('button', { type: 'button', class: 'button small audience', 'data-testid': 'audience', onclick: () => onPeople() }, icon('watch'), audienceCount);
  const entering = el('p', { class: 'entering', role: 'status' }, el('span', { class: 'spinner' }), t('call.entering'));
  const inviteLabel = el('span', {}, t('call.invite'));
  const invite = el('button', { type: 'button', class: 'button small', 'data-testid': 'invite' }, icon('invite'), inviteLabel);
  // Where the page may not copy, the reader can.
  invite.addEventListener('click', () => void copyAndConfirm(link, inviteLabel, () => notices.show(t('invite.copy_by_hand', { link }), 'problem')));
  const layout = el('button', { type: 'button', class: 'round quiet', 'data-testid': 'layout', onclick: toggleLayout });
  const stagePart = el('div', { class: 'call-stage' }, banners, el('div', { class: 'notice-place' }, notices.element), entering, stage.element, alone);
  const element = el(
    'div',
    { class: 'call' },
    el(
      'header',
      { class: 'call-head' },
      mark(),
      el('h1', { tabindex: -1 }, room),
      el('div', { class: 'call-head-actions' }, audience, layout, languageSwitch(onLanguage), invite),
    ),
    el(
      'main',
      { class: 'call-main' },
      stagePart,
      chat.element,
    ),
    el('footer', {}, controls.element),
    sender.zone,
  );
  sender.receiveDrops(element);

  const problems = problemWatch(devices, explained, (text) => notices.show(text, 'problem'));
  const update = () => {
    const text = bannerText(call);
    setText(bannerWords, text);
    // Once inside, the server was fine; it is away, and so is that page.
    why.hidden = call.entered;
    banner.hidden = text === '';
    entering.hidden = call.entered || text !== '';
    const { count, most } = call.viewers;
    const onStage = call.participants.filter(({ info }) => info.role !== 'viewer').length;
    alone.hidden = !call.entered || onStage > 0 || (count > 0 && !call.watching);
    audience.hidden = count === 0;
    const audienceWords = !call.watching && count > most ? t('call.watching_few', { count, most }) : t('call.watching', { count });
    setText(audienceCount, String(count));
    setAttributes(audience, { title: audienceWords, 'aria-label': audienceWords });
    audience.classList.toggle('warn', !call.watching && count > most);
    if (chatOpen) readCount = call.chatCount;
    chat.element.hidden = !chatOpen;
    element.dataset.chat = chatOpen ? 'open' : 'closed';
    // With less than two others there is nothing to choose.
    layout.hidden = onStage < 2;
    const grid = settings.layout === 'grid';
    showToggle(layout, true, grid ? 'speaker' : 'grid', grid ? t('call.layout_speaker') : t('call.layout_grid'));
    stage.update();
    panels?.update();
    chat.update();
    controls.update({ chatOpen, unread: call.chatCount - readCount + cards.waiting });
    meter.update();
    problems();
  };
  const endShortcuts = listenForShortcuts({
    settings: () => settings,
    actions: { ...actions, chat: onChat, people: onPeople, layout: toggleLayout, settings: onPreferences },
    onTalk: (talking) => devices.setMuted(!talking),
  });
  const letSleep = keepAwake();
  const speaking = setInterval(() => stage.update(), SPEAKING_INTERVAL_MS);
  update();
  // They are there before anybody wants them, and also when the server no longer is.
  void loadPanels().catch(() => undefined);
  return {
    element,
    update,
    notify: (notice) => {
      if (notice.kind !== 'chat' || !chatOpen) notices.show(...describeNotice(notice));
    },
    deviceLost: (kind, next) => {
      const device = t(deviceName[kind]);
      const text = next === null ? t('problem.lost', { device }) : t('problem.next', { device, next });
      // Sharing is often ended in the browser's own bar; that is no loss.
      if (kind !== 'screen') notices.show(capitalised(text), 'problem');
    },
    arrangement: () => ({ chatOpen, read: readCount, draft: chat.draft, pinned: stage.pinned }),
    dispose() {
      letSleep();
      endShortcuts();
      clearInterval(speaking);
      meter.dispose();
      stage.dispose();
    },
  };
}

/**
 * What people are told, and whether it stays until they close it.
 * @param {Notice} notice
 * @returns {[string, 'news' | 'problem']}
 */
function describeNotice(notice) {
  const name = 'name' in notice ? notice.name || t('call.guest') : '';
  switch (notice.kind) {
    case 'joined':
      return [t('notice.joined', { name }), 'news'];
    case 'left':
      return [t('notice.left', { name }), 'news'];
    case 'interrupted':
      return [t('notice.interrupted', { name }), 'news'];
    case 'restored':
      return [t('notice.restored', { name }), 'news'];
    case 'hand':
      return [t('notice.hand', { name }), 'news'];
    case 'reaction':
      return [`${REACTION_SIGNS[notice.reaction].sign} ${t('notice.reaction', { name, reaction: t(REACTION_SIGNS[notice.reaction].text) })}`, 'news'];
    case 'back':
      return [t('signaling.back'), 'news'];
    case 'host':
      return [t('notice.host'), 'news'];
    case 'muted':
      return [t('notice.muted'), 'problem'];
    case 'locked':
      return [notice.locked ? t('notice.locked') : t('notice.unlocked'), 'news'];
    case 'refused':
      return [t('notice.refused'), 'problem'];
    case 'file':
      return [t('notice.file', { name, file: notice.file }), 'news'];
    case 'chat': {
      const author = notice.message.name || t('call.guest');
      return [t('notice.chat', { name: author, text: cut(notice.message.text, 200) }), 'news'];
    }
  }
}

/** @param {string} text */
function capitalised(text) {
  return text[0].toUpperCase() + text.slice(1);
}

/** @param {Call} call */
function bannerText(call) {
  if (call.hasSignaling) return '';
  if (!navigator.onLine) return call.entered ? t('signaling.offline_call') : t('signaling.offline');
  if (call.entered) return call.participants.length > 0 ? t('signaling.lost') : t('signaling.lost_alone');
  return call.attempts > 0 ? t('signaling.unreachable') : '';
}

/**
 * Tells why a device could not be opened, each time.
 * @param {Devices} devices
 * @param {boolean} explained whether the reader knows of what has happened before
 * @param {(text: string) => void} onProblem
 */
function problemWatch(devices, explained, onProblem) {
  const told = explained ? { ...devices.failures } : { microphone: 0, camera: 0, screen: 0 };
  return () => {
    for (const kind of /** @type {const} */ (['microphone', 'camera', 'screen'])) {
      const problem = devices.problems[kind];
      // Whoever closes the question about the screen has decided not to share.
      const chosen = kind === 'screen' && (problem === 'denied' || problem === 'dismissed');
      if (problem && devices.failures[kind] !== told[kind] && !chosen) onProblem(explainProblem(kind, problem));
      told[kind] = devices.failures[kind];
    }
  };
}

/**
 * Keeps the screen on: a phone that locks stops its camera. Browsers may refuse, and let go of it whenever the page is not seen.
 * @returns {() => void} ends it
 */
function keepAwake() {
  /** @type {Promise<WakeLockSentinel> | undefined} */ let lock;
  const ask = () => {
    if (document.visibilityState === 'visible') lock = navigator.wakeLock?.request('screen');
    lock?.catch(() => undefined);
  };
  ask();
  document.addEventListener('visibilitychange', ask);
  return () => {
    document.removeEventListener('visibilitychange', ask);
    void lock?.then((held) => held.release()).catch(() => undefined);
  };
}

/**
 * The cards of files: there before anybody sends one, and tried again if the server was out of reach.
 * @param {() => Promise<ReturnType<Files['createFileCards']>>} load
 */
function lateCards(load) {
  /** @type {ReturnType<Files['createFileCards']> | null} */ let cards = null;
  let loading = false;
  return {
    get waiting() {
      return cards?.waiting ?? 0;
    },
    /** @param {(card: HTMLElement) => void} add */
    update(add) {
      if (cards) return cards.update(add);
      if (loading) return undefined;
      loading = true;
      return void load()
        .then((loaded) => (cards = loaded).update(add))
        .catch(() => undefined)
        .finally(() => setTimeout(() => (loading = false), CARDS_RETRY_MS));
    },
  };
}

/** @param {() => void} onStart */
function soundBanner(onStart) {
  const start = el('button', { type: 'button', class: 'button small primary', 'data-testid': 'start-sound' }, icon('sound'), t('call.sound_start'));
  const element = el('div', { class: 'banner sound', hidden: true }, el('p', {}, t('call.sound_blocked')), start);
  start.addEventListener('click', () => {
    element.hidden = true;
    onStart();
  });
  return {
    element,
    show: () => {
      element.hidden = false;
    },
  };
}
