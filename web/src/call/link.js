// The connection to one other peer: media, the chat and echo channels, and how well it goes. No DOM.

import { limitSender, preferCodec, refusesPictures } from './codecs.js';
import { Echo } from './echo.js';
import { Negotiation, isUnbundled } from './negotiation.js';
import { readStatistics } from './path.js';
import { History } from './quality.js';
import { Recovery } from './recovery.js';

/** @import { Candidate } from '../protocol/messages.js' */
/** @import { Clock, SignalBody } from '../protocol/types.js' */
/** @import { Limits } from './bandwidth.js' */
/** @import { LinkStatistics } from './path.js' */
/** @import { Silence } from './silence.js' */

/** How long a path may be interrupted, by the browser's word, before another one is looked for, in milliseconds. */
const INTERRUPTION_LIMIT_MS = 3000;
/** A path that nothing has come over for this long is looked at again before the next second, in milliseconds. */
const PAUSE_MS = 500;
/** Without a way for this long there is none so far, in milliseconds: browsers do not say so while there is nothing to try. */
const NO_WAY_MS = 15_000;
/** A link that begins looks for its way already, and what is not wanted needs none. @type {Set<LinkState>} */
const UNWAYED = new Set(['connecting', 'refused', 'unfit', 'closed']);
/** Errors of a relay that has no place for us: too many allocations of one user, or none left (RFC 8656, section 19). */
const NO_PLACE = new Set([486, 508]);

/**
 * `interrupted`: it had worked and may come back. `failed`: no way was found so far; it stays so until there is one, though
 * another is looked for all the time. `full`: the same, and a relay had no place for us. `refused`: the other side wants no encryption. `unfit`: the browser cannot use what the other side has said.
 * @typedef {'connecting' | 'connected' | 'interrupted' | 'failed' | 'full' | 'refused' | 'unfit' | 'closed'} LinkState
 *
 * What a link sends. Both streams stay the same during a call, so that the other side can tell them apart.
 * @typedef {object} Outgoing
 * @property {MediaStream} stream microphone and camera
 * @property {MediaStream} screenStream
 * @property {Record<'microphone' | 'camera' | 'screen' | 'screenAudio', MediaStreamTrack | null>} tracks
 *
 * @typedef {object} LinkOptions
 * @property {() => RTCPeerConnection} createConnection
 * @property {boolean} polite
 * @property {(body: SignalBody) => void} send
 * @property {() => MediaStream} newStream
 * @property {() => void} onChange
 * @property {(data: unknown) => void} onChat a message of the chat channel, as it came
 * @property {() => void} onFiles the channel for files is open
 * @property {() => void} onClosed the other side closed the connection
 * @property {() => void} onBroken the connection takes no description any more
 * @property {() => boolean} mayRestart whether the other side can hear of another way that is looked for
 * @property {() => void} onSilence nothing comes any more over a way that the browser takes for good
 * @property {((body: SignalBody) => void) | null} [onUnbundled] the first offer asks for more than one transport, which this
 *   connection cannot have
 * @property {Clock} clock
 */

export class Link {
  #options;
  #negotiation;
  #connection;
  #chat;
  #echo;
  /** @type {Partial<Record<keyof Outgoing['tracks'], RTCRtpSender>>} */ #senders = {};
  /** Sender changes run one after the other. @type {Promise<void>} */ #sending = Promise.resolve();
  /** @type {{track: MediaStreamTrack, streamId: string | undefined}[]} */ #incoming = [];
  /** Id of the other side's screen stream, once told. @type {string | null} */ #screenStreamId = null;
  /** @type {number | undefined} */ #interruptionTimer;
  /** @type {number | undefined} */ #noWayTimer;
  /** Until the next look at a path that pauses. @type {number | undefined} */ #pauseTimer;
  /** Loaded with the first look. @type {Silence | null} */ #silence = null;
  /** Whether nothing has come for too long. */ #silent = false;
  /** Whether no way was found since there was one. */ #wayless = false;
  /** Whether a relay had no place for us. */ #noPlace = false;
  #recovery;
  /** Preferred video codec. @type {string | null} */ #codec = null;
  /** @type {Limits | null} */ #limits = null;
  /** Why their last description was not taken. @type {'refused' | 'unfit' | null} */ #unusable = null;
  #wasConnected = false;
  #closed = false;

  /** Sound and picture of the person. */
  stream;
  /** The shared screen. */
  screenStream;
  /** The data channel for files. */
  files;
  /** @type {LinkStatistics} */
  statistics = { path: null, protocol: '', roundTripMs: null, framesDecoded: 0, audioBytes: 0 };

  /** Whether the two browsers have no format for pictures in common. */
  withoutPictures = false;

  history = new History();

  /** @param {LinkOptions} options */
  constructor(options) {
    this.#options = options;
    this.stream = options.newStream();
    this.screenStream = options.newStream();
    ({ connection: this.#connection, chat: this.#chat, echo: this.#echo, files: this.files } = this.#open());
    this.#negotiation = new Negotiation({
      connection: this.#connection,
      polite: options.polite,
      send: options.send,
      clock: options.clock,
      onProblem: (problem, error) => console.debug('negotiation:', problem, error ?? ''),
      onBroken: options.onBroken,
      onDescription: (why) => {
        this.#unusable = why;
        options.onChange();
      },
    });
    this.#recovery = new Recovery({
      clock: options.clock,
      may: options.mayRestart,
      isBroken: () => this.#silent || ['disconnected', 'failed', ...(this.#wayless ? ['new', 'connecting'] : [])].includes(this.#connection.connectionState),
      restart: (isUrgent) => this.#negotiation.restartIce(isUrgent),
    });
    this.#noWayTimer = options.clock.setTimeout(() => this.#foundNoWay(), NO_WAY_MS);
  }

  /** The connection with its channels. */
  #open() {
    const { createConnection, onChange, onChat, onClosed, onFiles, clock } = this.#options;
    const connection = createConnection();
    // Agreed on beforehand, so that neither side has to announce them.
    const chat = connection.createDataChannel('chat', { negotiated: true, id: 0 });
    const echo = new Echo(connection.createDataChannel('echo', { negotiated: true, id: 1 }), clock);
    const files = connection.createDataChannel('files', { negotiated: true, id: 2 });
    files.onopen = () => onFiles();
    chat.onmessage = ({ data }) => onChat(data);
    chat.onopen = () => onChange();
    chat.onclose = () => {
      if (!this.#closed) onClosed();
    };
    connection.onnegotiationneeded = () => this.#negotiation.negotiate();
    connection.onicecandidate = ({ candidate }) => {
      // What a browser found always has its line, though the type of `toJSON` leaves it open.
      const found = /** @type {Candidate | null} */ (candidate?.toJSON() ?? null);
      if (candidate?.type === 'relay') this.#noPlace = false;
      this.#negotiation.localCandidate(found);
    };
    connection.ontrack = ({ track, streams, transceiver }) => {
      preferCodec(transceiver, this.#codec);
      this.#trackArrived(track, streams[0]?.id);
    };
    connection.onicecandidateerror = ({ errorCode }) => {
      if (NO_PLACE.has(errorCode)) this.#noPlace = true;
    };
    connection.onconnectionstatechange = () => this.#stateChanged();
    connection.onsignalingstatechange = () => {
      const { currentLocalDescription: ours, currentRemoteDescription: theirs } = connection;
      this.withoutPictures = [ours, theirs].some((description) => refusesPictures(description?.sdp ?? ''));
    };
    return { connection, chat, echo, files };
  }

  /** @returns {LinkState} */
  get state() {
    if (this.#unusable && !this.#wasConnected) return this.#unusable;
    const state = this.#connection.connectionState;
    if (state === 'connected' || state === 'closed') return state;
    if (this.#wayless) return this.#noPlace ? 'full' : 'failed';
    return this.#wasConnected ? 'interrupted' : 'connecting';
  }

  /** Whether what is sent arrives, as far as one can know. */
  get carries() {
    return this.state === 'connected' && !this.#silent;
  }

  /** The browser's own words for the state of ICE and of the whole connection. */
  get rawStates() {
    const { connectionState, iceConnectionState: iceState } = this.#connection;
    return { connectionState, iceState };
  }

  /** @param {SignalBody} body */
  receive(body) {
    const { onUnbundled } = this.#options;
    if (onUnbundled && !this.#wasConnected && isUnbundled(body)) onUnbundled(body);
    else this.#negotiation.receive(body);
  }

  /**
   * Which of the streams that arrive is the screen. Told before the first description, so that no camera
   * is taken for a screen even for a moment.
   * @param {string} streamId
   */
  setScreenStreamId(streamId) {
    this.#screenStreamId = streamId;
    this.#sortIncoming();
  }

  /**
   * Sends what is there now. A track's first time is negotiated; later changes replace it silently.
   * @param {Outgoing} outgoing
   */
  setOutgoing({ stream, screenStream, tracks }) {
    this.#sending = this.#sending
      .then(async () => {
        if (this.#closed) return;
        await this.#setTrack('microphone', tracks.microphone, stream);
        await this.#setTrack('camera', tracks.camera, stream);
        await this.#setTrack('screen', tracks.screen, screenStream);
        await this.#setTrack('screenAudio', tracks.screenAudio, screenStream);
        await this.#limit();
      })
      .catch((error) => console.debug('sending:', error));
  }

  /**
   * Which codec pictures should have, both ways, if the other side has it too; null leaves it to the browsers.
   * @param {string | null} codec such as `VP9`
   */
  setCodec(codec) {
    if (codec === this.#codec) return;
    this.#codec = codec;
    const transceivers = this.#connection.getTransceivers();
    for (const transceiver of transceivers) preferCodec(transceiver, codec);
    if (transceivers.length > 0) this.#negotiation.renegotiate();
  }

  /**
   * How much is sent at most.
   * @param {Limits} limits
   */
  limitSending(limits) {
    this.#limits = limits;
    this.#sending = this.#sending.then(() => this.#limit()).catch((error) => console.debug('limiting:', error));
  }

  /**
   * @param {object} message
   * @returns {boolean} false when nothing was sent: the channel is not open, or what goes into it may never arrive, because the
   *   way is interrupted
   */
  sendChat(message) {
    if (this.#chat.readyState !== 'open' || !this.carries) return false;
    this.#chat.send(JSON.stringify(message));
    return true;
  }

  /** @param {number} count */
  runEcho(count) {
    return this.#echo.run(count);
  }

  /** @param {RTCIceServer[]} iceServers */
  setIceServers(iceServers) {
    this.#connection.setConfiguration({ ...this.#connection.getConfiguration(), iceServers });
  }

  /**
   * Looks for another way, also where this one seems to carry.
   * @param {boolean} [isUrgent] whether the other side can't know that it is needed
   */
  restartIce(isUrgent) {
    this.#recovery.news(isUrgent);
  }

  /** Looks for another way where none carries, as there may be one. A link that begins looks already. */
  findWay() {
    if (!this.carries && !UNWAYED.has(this.state)) this.#recovery.news();
  }

  async updateStatistics() {
    const entries = await this.#readStatistics();
    const { readSample } = await import('./sample.js');
    this.statistics = readStatistics(entries);
    this.history.add(readSample(entries, this.#options.clock.now()));
  }

  async #readStatistics() {
    const report = await this.#connection.getStats();
    const entries = [.../** @type {Map<string, any>} */ (/** @type {unknown} */ (report)).values()];
    const { Silence, readHeard } = await import('./silence.js');
    this.#silence ??= new Silence();
    if (!this.#closed) this.#listen(this.#silence, this.#silence.look(readHeard(entries)));
    return entries;
  }

  /**
   * @param {Silence} silence
   * @param {number} silentMs for how long nothing has come
   */
  #listen(silence, silentMs) {
    const wasSilent = this.#silent;
    const remainingMs = silence.remainingMs(silentMs, silentMs >= PAUSE_MS && this.#echo.ask());
    this.#silent = remainingMs <= 0;
    if (!this.#silent && silentMs >= PAUSE_MS) this.#lookAgain(remainingMs);
    if (this.#silent === wasSilent) return;
    if (!this.#silent) this.#carriesAgain();
    else if (this.state === 'connected') {
      console.debug('silence:', silentMs);
      this.#recovery.broken();
      this.#options.onSilence();
    }
    this.#options.onChange();
  }

  #carriesAgain() {
    if (this.#connection.connectionState !== 'connected' || this.#silent) return;
    this.#recovery.good();
    this.#negotiation.keepPath();
  }

  /** @param {number} waitMs */
  #lookAgain(waitMs) {
    this.#pauseTimer ??= this.#options.clock.setTimeout(() => {
      this.#pauseTimer = undefined;
      if (!this.#closed) this.#readStatistics().catch(() => undefined);
    }, waitMs);
  }

  /** How loud the person is now, 0 to 1, as their browser measured it. */
  get audioLevel() {
    let level = 0;
    for (const { receiver } of this.#connection.getTransceivers()) {
      if (receiver.track.kind !== 'audio') continue;
      for (const source of receiver.getSynchronizationSources()) level = Math.max(level, source.audioLevel ?? 0);
    }
    return level;
  }

  close() {
    this.#closed = true;
    this.#recovery.close();
    for (const timer of [this.#interruptionTimer, this.#noWayTimer, this.#pauseTimer]) this.#options.clock.clearTimeout(timer ?? 0);
    this.#negotiation.close();
    this.#connection.close();
  }

  /**
   * @param {keyof Outgoing['tracks']} kind
   * @param {MediaStreamTrack | null} track
   * @param {MediaStream} stream
   */
  async #setTrack(kind, track, stream) {
    const sender = this.#senders[kind];
    if (sender) {
      if (sender.track !== track) await sender.replaceTrack(track);
    } else if (track) {
      const sender = this.#connection.addTrack(track, stream);
      this.#senders[kind] = sender;
      for (const transceiver of this.#connection.getTransceivers()) {
        if (transceiver.sender === sender) preferCodec(transceiver, this.#codec);
      }
    }
  }

  async #limit() {
    if (this.#closed || !this.#limits) return;
    const { camera, cameraScale, screen, framesPerSecond } = this.#limits;
    const { camera: cameraSender, screen: screenSender } = this.#senders;
    if (cameraSender) await limitSender(cameraSender, { maxBitrate: camera, scaleResolutionDownBy: cameraScale, maxFramerate: framesPerSecond });
    if (screenSender) await limitSender(screenSender, { maxBitrate: screen, scaleResolutionDownBy: 1, maxFramerate: framesPerSecond });
  }

  /**
   * @param {MediaStreamTrack} track
   * @param {string | undefined} streamId
   */
  #trackArrived(track, streamId) {
    this.#incoming = this.#incoming.filter((known) => known.track !== track);
    this.#incoming.push({ track, streamId });
    track.onmute = () => this.#options.onChange();
    track.onunmute = () => this.#options.onChange();
    this.#sortIncoming();
  }

  #sortIncoming() {
    for (const { track, streamId } of this.#incoming) {
      const isScreen = streamId !== undefined && streamId === this.#screenStreamId;
      const [home, other] = isScreen ? [this.screenStream, this.stream] : [this.stream, this.screenStream];
      if (other.getTracks().includes(track)) other.removeTrack(track);
      if (!home.getTracks().includes(track)) home.addTrack(track);
    }
    this.#options.onChange();
  }

  #stateChanged() {
    const { clock, onChange } = this.#options;
    const state = this.#connection.connectionState;
    clock.clearTimeout(this.#interruptionTimer ?? 0);
    this.#interruptionTimer = undefined;
    if (state === 'connected') {
      this.#wasConnected = true;
      this.#wayless = false;
      this.#noPlace = false;
      clock.clearTimeout(this.#noWayTimer ?? 0);
      this.#noWayTimer = undefined;
      this.#carriesAgain();
    } else this.#noWayTimer ??= clock.setTimeout(() => this.#foundNoWay(), NO_WAY_MS);
    if (state === 'failed') {
      this.#wayless = true;
      this.#recovery.broken();
    }
    if (state === 'disconnected') {
      this.#interruptionTimer = clock.setTimeout(() => this.#recovery.broken(), INTERRUPTION_LIMIT_MS);
    }
    onChange();
  }

  #foundNoWay() {
    this.#wayless = true;
    if (this.#connection.connectionState === 'new') this.#recovery.broken();
    this.#options.onChange();
  }
}
