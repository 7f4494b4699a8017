// Camera, microphone and screen of this computer. No DOM.

/**
 * Why a device cannot be used, in terms that the page can explain.
 * @typedef {'insecure' | 'denied' | 'dismissed' | 'not_found' | 'in_use' | 'failed'} DeviceProblem
 *
 * @typedef {'microphone' | 'camera' | 'screen'} DeviceKind
 *
 * @typedef {object} DeviceOptions
 * @property {MediaDevices | undefined} mediaDevices absent where the page is not served securely
 * @property {Pick<Permissions, 'query'>} [permissions]
 * @property {(tracks?: MediaStreamTrack[]) => MediaStream} newStream
 * @property {() => void} onChange
 * @property {(kind: DeviceKind, next: string | null) => void} onLost a device went away by itself; `next` is the name of the one that
 *   has taken its place, if there is another
 */

/** The camera's wish list: HD where it can, never a refusal where it cannot. */
const VIDEO_WISH = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 } };

/** How often in which time, in milliseconds, another device takes the place of a lost one: a loose plug would never end. */
const TAKEN = { times: 3, withinMs: 60_000 };

export class Devices {
  #options;
  /** Microphone and camera travel in this stream, so that their sound and picture stay together. */
  stream;
  /** The screen, and its sound where the browser captures it. */
  screenStream;
  /** @type {Record<DeviceKind, MediaStreamTrack | null>} */
  tracks = { microphone: null, camera: null, screen: null };
  /** @type {MediaStreamTrack | null} */
  screenAudio = null;
  /** @type {Record<DeviceKind, DeviceProblem | null>} */
  problems = { microphone: null, camera: null, screen: null };
  /** How often each could not be opened. @type {Record<DeviceKind, number>} */
  failures = { microphone: 0, camera: 0, screen: 0 };
  /** Which device is being opened. @type {Record<DeviceKind, boolean>} */
  opening = { microphone: false, camera: false, screen: false };
  /** Chosen devices, by their id. @type {{microphone?: string, camera?: string, speaker?: string}} */
  chosen = {};
  muted = false;
  /** Whether the browser takes noise out of the microphone's sound. */ noiseSuppression = true;
  /** When others took the place of lost devices, in milliseconds. @type {number[]} */ #taken = [];
  /** Whether this has been closed: an answer that comes late must not leave a device running. */
  #closed = false;

  /** @param {DeviceOptions} options */
  constructor(options) {
    this.#options = options;
    this.stream = options.newStream();
    this.screenStream = options.newStream();
  }

  /** What the others are told. */
  get media() {
    return {
      audio: this.tracks.microphone !== null && !this.muted,
      video: this.tracks.camera !== null,
      screen: this.tracks.screen !== null,
    };
  }

  get canShareScreen() {
    return typeof this.#options.mediaDevices?.getDisplayMedia === 'function';
  }

  /** Opens the microphone, or changes to the chosen one. Resolves in any case; `problems` tells. */
  openMicrophone() {
    return this.#openMicrophone();
  }

  /** @param {string} [next] the device instead of the chosen one */
  #openMicrophone(next) {
    return this.#open('microphone', async (devices) => {
      const audio = { echoCancellation: true, noiseSuppression: this.noiseSuppression };
      const [track] = (await capture(devices, 'audio', audio, next ?? this.chosen.microphone)).getAudioTracks();
      track.enabled = !this.muted;
      return track;
    });
  }

  /** Opens the camera, or changes to the chosen one. Resolves in any case; `problems` tells. */
  openCamera() {
    return this.#openCamera();
  }

  /** @param {string} [next] the device instead of the chosen one */
  #openCamera(next) {
    return this.#open('camera', async (devices) => (await capture(devices, 'video', VIDEO_WISH, next ?? this.chosen.camera)).getVideoTracks()[0]);
  }

  shareScreen() {
    return this.#open('screen', async (devices) => {
      const captured = await devices.getDisplayMedia({ video: { frameRate: { ideal: 15 } }, audio: true });
      if (this.#closed) for (const late of captured.getTracks()) late.stop();
      else this.#takeScreenAudio(captured.getAudioTracks()[0] ?? null);
      const [track] = captured.getVideoTracks();
      // Tells the encoder to keep text sharp rather than motion smooth.
      track.contentHint = 'detail';
      return track;
    });
  }

  /** @param {boolean} muted */
  setMuted(muted) {
    this.muted = muted;
    if (this.tracks.microphone) this.tracks.microphone.enabled = !muted;
    this.#options.onChange();
  }

  /**
   * Takes noise out, or leaves it: music and birds are noise to it. The microphone is opened anew, as browsers do not change
   * this for one that is open; until then the old one goes on.
   * @param {boolean} on
   */
  async setNoiseSuppression(on) {
    this.noiseSuppression = on;
    if (this.tracks.microphone) await this.openMicrophone();
  }

  /**
   * Stops a device: its light goes out.
   * @param {DeviceKind} kind
   */
  close(kind) {
    const track = this.tracks[kind];
    if (!track) return;
    track.onended = null;
    track.stop();
    this.#remove(kind, track);
    this.#options.onChange();
  }

  closeAll() {
    this.#closed = true;
    for (const kind of /** @type {const} */ (['microphone', 'camera', 'screen'])) this.close(kind);
  }

  /** What can be chosen. Labels are empty until a device of that kind has been allowed. */
  async list() {
    const all = (await this.#options.mediaDevices?.enumerateDevices().catch(() => [])) ?? [];
    return {
      microphones: all.filter((device) => device.kind === 'audioinput' && device.deviceId !== ''),
      cameras: all.filter((device) => device.kind === 'videoinput' && device.deviceId !== ''),
      speakers: all.filter((device) => device.kind === 'audiooutput' && device.deviceId !== ''),
    };
  }

  /**
   * @param {DeviceKind} kind
   * @param {(devices: MediaDevices) => Promise<MediaStreamTrack>} ask
   * @returns {Promise<void>}
   */
  async #open(kind, ask) {
    const devices = this.#options.mediaDevices;
    this.problems[kind] = devices ? null : 'insecure';
    if (!devices) this.failures[kind] += 1;
    if (!devices || this.opening[kind]) return this.#options.onChange();
    this.opening[kind] = true;
    this.#options.onChange();
    const asked = this.#wish(kind);
    try {
      const track = await ask(devices);
      if (this.#closed) track.stop();
      else this.#replace(kind, track);
    } catch (error) {
      this.problems[kind] = deviceProblem(error);
      this.failures[kind] += 1;
    }
    this.opening[kind] = false;
    this.#options.onChange();
    // What was chosen in the meantime is not forgotten.
    if (!this.#closed && this.#wish(kind) !== asked) return this.#open(kind, ask);
    return undefined;
  }

  /**
   * What the reader wants of a device, to see whether it has changed.
   * @param {DeviceKind} kind
   */
  #wish(kind) {
    if (kind === 'screen') return '';
    return kind === 'camera' ? this.chosen.camera : `${this.noiseSuppression} ${this.chosen.microphone}`;
  }

  /**
   * @param {DeviceKind} kind
   * @param {MediaStreamTrack} track
   */
  #replace(kind, track) {
    const before = this.tracks[kind];
    if (before) {
      before.onended = null;
      before.stop();
      this.#streamOf(kind).removeTrack(before);
    }
    this.tracks[kind] = track;
    this.#streamOf(kind).addTrack(track);
    track.onended = () => {
      this.#remove(kind, track);
      this.#options.onChange();
      void this.#takeNext(kind, track);
    };
  }

  /**
   * A device was unplugged: the next one takes its place. Not where it was taken from the page instead: browsers end its track, too.
   * @param {DeviceKind} kind
   * @param {MediaStreamTrack} lost
   */
  async #takeNext(kind, lost) {
    const others = await this.#others(kind, lost.getSettings());
    for (const { deviceId } of others) {
      // The reader may have opened one in the meantime.
      if (this.#closed || this.tracks[kind] || !this.#mayTake()) break;
      await (kind === 'camera' ? this.#openCamera(deviceId) : this.#openMicrophone(deviceId));
    }
    if (this.#closed) return;
    this.#options.onLost(kind, this.tracks[kind]?.label ?? null);
    this.#options.onChange();
  }

  /**
   * What may take the place of a lost device.
   * @param {DeviceKind} kind
   * @param {MediaTrackSettings} lost
   */
  async #others(kind, { deviceId: id, groupId: group }) {
    if (kind === 'screen') return [];
    const state = await this.#options.permissions?.query({ name: kind }).then(({ state }) => state, () => undefined);
    const { microphones, cameras } = await this.list();
    const all = kind === 'camera' ? cameras : microphones;
    // Browsers that do not know, or are to ask again, name devices only where they are allowed.
    if (state === 'denied' || (state !== 'granted' && all.every(({ label }) => !label))) return [];
    const aliases = ['default', 'communications', id];
    return all.filter(({ deviceId, groupId }) => !aliases.includes(deviceId) && !(group && groupId === group));
  }

  #mayTake() {
    const now = Date.now();
    this.#taken = this.#taken.filter((at) => at > now - TAKEN.withinMs);
    return this.#taken.length < TAKEN.times && this.#taken.push(now) > 0;
  }

  /**
   * @param {DeviceKind} kind
   * @param {MediaStreamTrack} track
   */
  #remove(kind, track) {
    this.tracks[kind] = null;
    this.#streamOf(kind).removeTrack(track);
    if (kind !== 'screen' || !this.screenAudio) return;
    this.screenAudio.stop();
    this.screenStream.removeTrack(this.screenAudio);
    this.screenAudio = null;
  }

  /** @param {MediaStreamTrack | null} sound */
  #takeScreenAudio(sound) {
    if (sound) this.screenStream.addTrack(sound);
    this.screenAudio = sound;
  }

  /** @param {DeviceKind} kind */
  #streamOf(kind) {
    return kind === 'screen' ? this.screenStream : this.stream;
  }
}

/**
 * The chosen device, which must be demanded: asked for as a wish, browsers may give the one that they like best. Where it is not there
 * any more, another one is better than none.
 * @param {MediaDevices} devices
 * @param {'audio' | 'video'} kind
 * @param {MediaTrackConstraints} wish
 * @param {string | undefined} id
 */
async function capture(devices, kind, wish, id) {
  if (id) {
    try {
      return await devices.getUserMedia({ [kind]: { ...wish, deviceId: { exact: id } } });
    } catch (error) {
      if (deviceProblem(error) !== 'not_found') throw error;
    }
  }
  return devices.getUserMedia({ [kind]: wish });
}

/**
 * What an error of getUserMedia or getDisplayMedia means.
 * @param {unknown} error
 * @returns {DeviceProblem}
 */
export function deviceProblem(error) {
  const { name = '', message = '' } = /** @type {{name?: string, message?: string}} */ (error ?? {});
  switch (name) {
    case 'NotAllowedError':
      return /dismissed/i.test(message) ? 'dismissed' : 'denied';
    case 'SecurityError':
      return 'denied';
    case 'NotFoundError':
    case 'OverconstrainedError':
      return 'not_found';
    case 'NotReadableError':
    case 'AbortError':
      return 'in_use';
    default:
      return 'failed';
  }
}
