// How the connection to one person does: its way, its figures over the last minutes, its encryption.

import { KEPT } from '../call/quality.js';
import { connectionReport } from '../call/report.js';
import { bitRate, t } from '../texts/texts.js';
import { el, setText } from './dom.js';
import { createGraph } from './graph.js';
import { createPanel } from './panel.js';
import { copyAndConfirm, saveJson } from './parts.js';
import { describeQuality } from './tile.js';

/** @import { Call } from '../call/call.js' */
/** @import { Participant } from '../call/participant.js' */
/** @import { Point } from '../call/quality.js' */
/** @import { Sample } from '../call/sample.js' */
/** @import { TextKey } from '../texts/texts.js' */

/**
 * The figures: what they are called, how they read, and the least height of their graph.
 * @type {{title: TextKey, least: number, of: (point: Point) => number | null, say: (value: number) => string}[]}
 */
const FIGURES = [
  { title: 'connection.delay', least: 100, of: ({ roundTripMs }) => roundTripMs, say: (value) => t('connection.ms', { ms: Math.round(value) }) },
  { title: 'connection.loss', least: 10, of: ({ lossPercent }) => lossPercent, say: (value) => t('connection.percent', { percent: Math.round(value * 10) / 10 }) },
  { title: 'connection.jitter', least: 50, of: ({ jitterMs }) => jitterMs, say: (value) => t('connection.ms', { ms: Math.round(value) }) },
  { title: 'connection.received', least: 100_000, of: ({ bitsIn }) => bitsIn, say: bitRate },
  { title: 'connection.sent', least: 100_000, of: ({ bitsOut }) => bitsOut, say: bitRate },
  { title: 'connection.height', least: 360, of: ({ height }) => height, say: (value) => t('connection.lines', { lines: value }) },
];

/** @param {{call: Call}} options */
export function createConnectionPanel({ call }) {
  /** @type {string | null} */
  let shownId = null;
  const participant = () => call.participants.find(({ id }) => id === shownId) ?? null;
  const quality = el('p', { class: 'connection-quality' });
  const facts = createFacts();
  const figures = FIGURES.map(createFigure);
  const written = () => {
    const shown = participant();
    return shown ? `${JSON.stringify(connectionReport(shown), null, 2)}\n` : '';
  };
  const save = () => saveJson(written(), 'callbox-connection.json');
  const copyLabel = el('span', {}, t('check.copy'));
  const copyButton = el('button', { type: 'button', class: 'button small', onclick: () => void copyAndConfirm(written(), copyLabel, save) }, copyLabel);
  const panel = createPanel({
    name: 'connection',
    onClosed: () => {
      shownId = null;
    },
    content: [
      quality,
      facts.element,
      el('ul', { class: 'figures' }, ...figures.map((figure) => figure.element)),
      el(
        'div',
        { class: 'file-actions' },
        copyButton,
        el('button', { type: 'button', class: 'button small', 'data-testid': 'connection-save', onclick: save }, t('check.save')),
      ),
    ],
  });
  const update = () => {
    if (shownId === null) return;
    const shown = participant();
    if (!shown) return panel.close();
    const { history } = shown.active;
    panel.setTitle(t('connection.title', { name: shown.name || t('call.guest') }));
    setText(quality, describeQuality(history.quality));
    quality.dataset.level = history.quality?.level ?? 'settling';
    facts.show(shown, history.latest);
    for (const figure of figures) figure.show(history.points);
    return undefined;
  };
  return {
    element: panel.element,
    close: panel.close,
    update,
    /** @param {string} id of a participant */
    open(id) {
      shownId = id;
      update();
      panel.open();
    },
  };
}

function createFacts() {
  const fact = (/** @type {TextKey} */ name) => {
    const value = el('dd', {});
    return { value, row: el('div', {}, el('dt', {}, t(name)), value) };
  };
  const path = fact('connection.path');
  const media = fact('connection.codecs');
  const encryption = fact('connection.encryption');
  return {
    element: el('dl', { class: 'connection-facts' }, path.row, media.row, encryption.row),
    /**
     * @param {Participant} participant
     * @param {Sample | null} sample
     */
    show(participant, sample) {
      setText(path.value, sample ? describePath(sample, participant.name || t('call.guest')) : t('peer.connecting'));
      setText(media.value, describeMedia(sample));
      setText(encryption.value, [sample?.dtls, sample?.dtlsCipher, sample?.srtpCipher].filter(Boolean).join(' · '));
      media.row.hidden = media.value.textContent === '';
      encryption.row.hidden = encryption.value.textContent === '';
    },
  };
}

/**
 * @param {Sample} sample
 * @param {string} name
 */
function describePath({ path, protocol, relayHere, relayThere }, name) {
  const over = protocol.toUpperCase();
  if (path === null) return t('peer.connecting');
  if (relayHere !== null) {
    const ours = t('connection.path_relay', { relay: relayHere.replace(/\?.*/, ''), over });
    return relayThere ? `${ours} · ${t('connection.path_both', { name })}` : ours;
  }
  if (path === 'relay') return t('connection.path_theirs', { name });
  return path === 'host' ? t('connection.path_host', { over }) : t('connection.path_nat', { over });
}

/** @param {Sample | null} sample */
function describeMedia(sample) {
  const { audio, video } = sample ?? { audio: null, video: null };
  const picture = video?.width && video.height ? `${video.width} × ${video.height}` : null;
  const rate = video?.framesPerSecond ? t('connection.frames', { frames: Math.round(video.framesPerSecond) }) : null;
  return [audio?.codec, video?.codec, picture, rate].filter(Boolean).join(' · ');
}

/** @param {typeof FIGURES[number]} figure */
function createFigure({ title, least, of, say }) {
  const value = el('span', { class: 'figure-value' });
  const graph = createGraph(KEPT, least);
  const element = el('li', { class: 'figure' }, el('span', {}, t(title)), value, graph.element);
  return {
    element,
    /** @param {Point[]} points */
    show(points) {
      const values = points.map(of);
      const latest = values.at(-1) ?? null;
      setText(value, latest === null ? '–' : say(latest));
      graph.show(values);
    },
  };
}
