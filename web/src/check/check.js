// Runs all that can be told without asking for anything, and keeps the rows. No DOM.

import { knock } from './door.js';
import { explainFamily } from './family.js';
import { PENDING, notApplicable } from './finding.js';
import { gather } from './gather.js';
import { parseIceUrl } from './ice_url.js';
import { loopBack } from './loopback.js';
import { explainLoopback } from './media.js';
import { explainNat, explainUrl } from './relay.js';
import { explainClock, explainCredentials, explainPage, explainSocket } from './server.js';
import { verdict } from './verdict.js';

/** @import { Clock, IceServer } from '../protocol/types.js' */
/** @import { Socket } from '../protocol/signaling.js' */
/** @import { Asked } from './family.js' */
/** @import { Finding, Row } from './finding.js' */
/** @import { Gathered } from './gather.js' */
/** @import { IceUrl } from './ice_url.js' */
/** @import { TextKey } from '../texts/texts.js' */

/** Servers asked at the same time: each is a connection, and a relay counts allocations of one user. */
const AT_ONCE = 3;

/** What only a server can tell. */
const NETWORK_ROWS = ['ipv4', 'ipv6', 'nat', 'loopback'];

/** @type {Record<IceUrl['transport'], TextKey>} */
const TRANSPORTS = { udp: 'check.over_udp', tcp: 'check.over_tcp', tls: 'check.over_tls' };

/**
 * One URL with the credentials for it.
 * @typedef {{parsed: IceUrl, server: RTCIceServer}} Target
 *
 * @typedef {object} CheckOptions
 * @property {() => Socket} connect
 * @property {() => string} newRoom an unguessable room name
 * @property {() => Promise<number | null>} serverTime asks over HTTP; milliseconds since 1970, null when the answer
 *   does not tell; rejects when there is no answer
 * @property {((configuration: RTCConfiguration) => RTCPeerConnection) | null} createConnection null where the browser has none
 * @property {{secure: boolean, origin: string}} page
 * @property {Clock} clock
 * @property {() => void} onChange
 */

export class Check {
  #options;
  /** Set by a new run: what an older one still finds is dropped. */ #run = 0;
  /** What the present run has opened. @type {Set<{close: () => void}>} */ #opened = new Set();
  /** @type {Row[]} */ #rows = [];
  done = false;

  /** @param {CheckOptions} options */
  constructor(options) {
    this.#options = options;
    this.#rows = firstRows();
  }

  /** @returns {readonly Row[]} */
  get rows() {
    return this.#rows;
  }

  get verdict() {
    return verdict(this.#rows, this.done);
  }

  /**
   * Also for what only the view can find out, such as what camera and microphone say.
   * @param {string} id
   * @param {Finding} finding
   */
  set(id, finding) {
    const row = this.#rows.find((known) => known.id === id);
    if (!row) return;
    row.finding = finding;
    this.#options.onChange();
  }

  /** From the beginning; devices keep what was found about them. */
  async start() {
    const run = ++this.#run;
    this.#opened.clear();
    const set = (/** @type {string} */ id, /** @type {Finding} */ finding) => {
      if (run === this.#run) this.set(id, finding);
    };
    const kept = this.#rows.filter(({ group }) => group === 'device');
    this.done = false;
    this.#rows = [...firstRows().filter(({ group }) => group !== 'device'), ...kept];
    this.#options.onChange();
    const { page, newRoom, clock, serverTime } = this.#options;
    const { connect, createConnection } = this.#kept();
    set('page', explainPage({ ...page, webrtc: createConnection !== null }));
    const began = clock.now();
    const time = serverTime();
    // It is waited for below; until then its failure is not yet anybody's.
    time.catch(() => undefined);
    const outcome = await knock({ connect, room: newRoom(), fetchPage: () => time, clock });
    const aheadMs = await time.then(
      (told) => (told === null ? null : began - told),
      () => null,
    );
    set('socket', explainSocket(outcome));
    set('clock', explainClock(aheadMs));
    const servers = outcome.kind === 'welcome' ? outcome.iceServers : null;
    const serverNow = clock.now() - (aheadMs ?? 0);
    const credentials = explainCredentials(servers, serverNow);
    set('credentials', credentials);
    if (run !== this.#run) return;
    const targets = targetsOf(servers ?? []);
    this.#rows = withTargets(this.#rows, targets);
    this.#options.onChange();
    if (createConnection && outcome.kind === 'welcome') {
      const expired = Number(credentials.facts.life_s ?? 1) <= 0;
      await this.#network(set, () => run !== this.#run, createConnection, targets, expired);
    } else {
      for (const id of NETWORK_ROWS) set(id, notApplicable({ key: 'check.not_reached' }));
    }
    if (run !== this.#run) return;
    this.done = true;
    this.#options.onChange();
  }

  /** Ends what runs, and gives back what it holds of the relay. */
  close() {
    this.#run += 1;
    for (const opened of this.#opened) opened.close();
    this.#opened.clear();
  }

  /** What opens connections, so that they can be closed from here. */
  #kept() {
    const { connect, createConnection } = this.#options;
    /** @type {<T extends {close: () => void}>(opened: T) => T} */
    const keep = (opened) => {
      this.#opened.add(opened);
      return opened;
    };
    return {
      connect: () => keep(connect()),
      createConnection: createConnection && ((/** @type {RTCConfiguration} */ configuration) => keep(createConnection(configuration))),
    };
  }

  /**
   * @param {(id: string, finding: Finding) => void} set
   * @param {() => boolean} over whether nobody wants to know any more
   * @param {(configuration: RTCConfiguration) => RTCPeerConnection} createConnection
   * @param {Target[]} targets
   * @param {boolean} expired
   */
  async #network(set, over, createConnection, targets, expired) {
    const { clock } = this.#options;
    /** @type {Target[]} */
    const carrying = [];
    /** @type {Asked[]} */
    const asked = [];
    await inTurns(targets, AT_ONCE, async (target) => {
      if (over()) return;
      const { parsed, server } = target;
      const relayOnly = parsed.kind === 'turn';
      const gathered = await gather({ createConnection, servers: [server], relayOnly, clock });
      if (relayOnly && gathered.ms !== null) carrying.push(target);
      const finding = explainUrl(parsed, gathered, expired);
      asked.push({ parsed, gathered, ok: finding.state === 'ok' });
      set(`ice:${parsed.url}`, finding);
    });
    if (over()) return;
    for (const family of /** @type {const} */ (['IPv4', 'IPv6'])) set(family.toLowerCase(), explainFamily(family, asked));
    const datagram = targets.filter(({ parsed }) => parsed.transport === 'udp');
    const destinations = new Set(datagram.map(({ parsed }) => parsed.destination)).size;
    /** @type {Gathered | null} */
    let seen = null;
    if (destinations > 1) {
      const servers = datagram.map(({ server }) => server);
      seen = await gather({ createConnection, servers, relayOnly: false, patient: true, clock });
    }
    if (over()) return;
    set('nat', explainNat(destinations, seen));
    // One of them, as a call would use it: each would take an allocation for either end and address family.
    const best = carrying.find(({ parsed }) => parsed.transport === 'udp') ?? carrying[0];
    set('loopback', explainLoopback(best ? await loopBack({ createConnection, server: best.server, clock }) : null));
  }
}

/** @returns {Row[]} */
function firstRows() {
  return [
    { id: 'page', group: 'server', title: { key: 'check.page' }, finding: PENDING },
    { id: 'socket', group: 'server', title: { key: 'check.socket' }, finding: PENDING },
    { id: 'clock', group: 'server', title: { key: 'check.clock' }, finding: PENDING },
    { id: 'credentials', group: 'relay', title: { key: 'check.credentials' }, finding: PENDING },
    { id: 'ipv4', group: 'media', title: { key: 'check.family', values: { family: 'IPv4' } }, finding: PENDING },
    { id: 'ipv6', group: 'media', title: { key: 'check.family', values: { family: 'IPv6' } }, finding: PENDING },
    { id: 'nat', group: 'media', title: { key: 'check.nat' }, finding: PENDING },
    { id: 'loopback', group: 'media', title: { key: 'check.loopback' }, finding: PENDING },
    { id: 'camera', group: 'device', title: { key: 'preview.camera' }, finding: PENDING },
    { id: 'microphone', group: 'device', title: { key: 'preview.microphone' }, finding: PENDING },
    { id: 'speaker', group: 'device', title: { key: 'check.speaker' }, finding: PENDING },
  ];
}

/**
 * @param {Row[]} rows
 * @param {Target[]} targets
 * @returns {Row[]}
 */
function withTargets(rows, targets) {
  const at = rows.findIndex(({ id }) => id === 'credentials') + 1;
  const more = targets.map(({ parsed: { url, kind, transport } }) => {
    const title = { key: TRANSPORTS[transport], values: { kind: kind.toUpperCase(), url } };
    return /** @type {Row} */ ({ id: `ice:${url}`, group: 'relay', title, finding: PENDING });
  });
  return [...rows.slice(0, at), ...more, ...rows.slice(at)];
}

/**
 * Each URL once. What is no STUN or TURN URL is skipped, as browsers do not take it either.
 * @param {IceServer[]} servers
 * @returns {Target[]}
 */
export function targetsOf(servers) {
  /** @type {Map<string, Target>} */
  const targets = new Map();
  for (const { urls, username, credential } of servers) {
    for (const url of [urls].flat()) {
      const parsed = typeof url === 'string' ? parseIceUrl(url) : null;
      if (parsed) targets.set(url, { parsed, server: { urls: url, ...(username && { username }), ...(credential && { credential }) } });
    }
  }
  return [...targets.values()];
}

/**
 * Runs `step` for all, at most `count` at a time.
 * @template T
 * @param {T[]} items
 * @param {number} count
 * @param {(item: T) => Promise<void>} step
 */
async function inTurns(items, count, step) {
  const waiting = [...items];
  const work = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) await step(next);
  };
  await Promise.all(Array.from({ length: count }, work));
}
