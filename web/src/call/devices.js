// Camera, microphone and screen of this computer. No DOM.

/**
 * Why a device cannot be used, in terms that the page can explain.
 * @typedef {'insecure' | 'denied' | 'dismissed' | 'not_found' | 'in_use' | 'failed'} DeviceProblem
 *
 * @typedef {'microphone' | 'camera' | 'screen'} DeviceKind
 *
 * @typedef {object} DeviceOptions
 * @property {MediaDevices | undefined} mediaDevices absent where the page is not served securely
 * @property {(tracks?: MediaStreamTrack[]) => MediaStream} newStream
 * @property {() => void} onChange
 * @property {(kind: DeviceKind) => void} onLost a device went away by itself
 */

/** The camera's wish list: HD where it can, never a refusal where it cannot. */
const VIDEO_WISH = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 } };

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
  /** Which device is being opened. @type {Record<DeviceKind, boolean>} */
  opening = { microphone: false, camera: false, screen: false };
  /** Chosen devices, by their id. @type {{microphone?: string, camera?: string, speaker?: string}} */
  chosen = {};
  muted = false;
  /** Whether the browser takes noise out of the microphone's sound. */ noiseSuppression = true;
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
    const deviceId = this.chosen.microphone;
    return this.#open('microphone', async (devices) => {
      const audio = { echoCancellation: true, noiseSuppression: this.noiseSuppression, ...(deviceId && { deviceId }) };
      const [track] = (await devices.getUserMedia({ audio })).getAudioTracks();
      track.enabled = !this.muted;
      return track;
    });
  }

  /** Opens the camera, or changes to the chosen one. Resolves in any case; `problems` tells. */
  openCamera() {
    const deviceId = this.chosen.camera;
    return this.#open('camera', async (devices) => {
      const video = { ...VIDEO_WISH, ...(deviceId && { deviceId }) };
      return (await devices.getUserMedia({ video })).getVideoTracks()[0];
    });
  }

  shareScreen() {
    return this.#open('screen', async (devices) => {
      const captured = await devices.getDisplayMedia({ video: { frameRate: { ideal: 15 } }, audio: true });
      const [sound = null] = captured.getAudioTracks();
      if (sound) this.screenStream.addTrack(sound);
      this.screenAudio = sound;
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
   * @param {(devices: MediaDevices) => Promise<MediaStreamTrack>} capture
   */
  async #open(kind, capture) {
    const devices = this.#options.mediaDevices;
    this.problems[kind] = devices ? null : 'insecure';
    if (!devices || this.opening[kind]) return this.#options.onChange();
    this.opening[kind] = true;
    this.#options.onChange();
    try {
      const track = await capture(devices);
      if (this.#closed) track.stop();
      else this.#replace(kind, track);
    } catch (error) {
      this.problems[kind] = deviceProblem(error);
    }
    this.opening[kind] = false;
    this.#options.onChange();
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
      this.#options.onLost(kind);
      this.#options.onChange();
    };
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

  /** @param {DeviceKind} kind */
  #streamOf(kind) {
    return kind === 'screen' ? this.screenStream : this.stream;
  }
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
