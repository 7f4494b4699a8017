import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Devices, deviceProblem } from '../src/call/devices.js';
import { loadSettings, readQuery, saveSettings } from '../src/settings.js';

class FakeTrack {
  enabled = true;
  stopped = false;
  contentHint = '';
  /** @type {(() => void) | null} */ onended = null;

  label = '';

  /** @param {string} kind @param {string} [deviceId] */
  constructor(kind, deviceId) {
    this.kind = kind;
    this.deviceId = deviceId;
  }

  getSettings() {
    return { deviceId: this.deviceId, groupId: 'group of the lost' };
  }

  stop() {
    this.stopped = true;
  }
}

class FakeStream {
  /** @type {any[]} */ tracks;

  constructor(/** @type {any[]} */ tracks = []) {
    this.tracks = tracks;
  }

  getTracks = () => this.tracks;
  getAudioTracks = () => this.tracks.filter(({ kind }) => kind === 'audio');
  getVideoTracks = () => this.tracks.filter(({ kind }) => kind === 'video');
  addTrack = (/** @type {any} */ track) => this.tracks.push(track);
  removeTrack = (/** @type {any} */ track) => {
    this.tracks = this.tracks.filter((other) => other !== track);
  };
}

/** When all promises have done what they can. */
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** @param {Record<string, any> | undefined} mediaDevices @param {string} [permission] */
function setUp(mediaDevices, permission = 'granted') {
  /** @type {(string | null)[]} */ const lost = [];
  const devices = new Devices({
    mediaDevices: /** @type {any} */ (mediaDevices),
    permissions: /** @type {any} */ ({ query: async () => (permission ? { state: permission } : Promise.reject(new TypeError())) }),
    newStream: () => /** @type {any} */ (new FakeStream()),
    onChange: () => {},
    onLost: (kind, next) => lost.push(kind, next),
  });
  return { devices, lost };
}

const working = {
  getUserMedia: async (/** @type {any} */ wish) => new FakeStream([new FakeTrack(wish.audio ? 'audio' : 'video')]),
  enumerateDevices: async () => [],
};

test('every refusal has its own explanation', () => {
  const error = (/** @type {string} */ name, message = '') => Object.assign(new Error(message), { name });
  assert.equal(deviceProblem(error('NotAllowedError', 'Permission denied')), 'denied');
  assert.equal(deviceProblem(error('NotAllowedError', 'Permission dismissed')), 'dismissed');
  assert.equal(deviceProblem(error('NotFoundError')), 'not_found');
  assert.equal(deviceProblem(error('NotReadableError')), 'in_use');
  assert.equal(deviceProblem(error('OverconstrainedError')), 'not_found');
  assert.equal(deviceProblem(null), 'failed');
});

test('a refused camera does not touch the microphone', async () => {
  const refusing = {
    getUserMedia: async (/** @type {any} */ wish) => {
      if (wish.video) throw Object.assign(new Error(), { name: 'NotAllowedError' });
      return new FakeStream([new FakeTrack('audio')]);
    },
  };
  const { devices } = setUp(refusing);
  await devices.openMicrophone();
  await devices.openCamera();
  assert.deepEqual(devices.problems, { microphone: null, camera: 'denied', screen: null });
  assert.deepEqual(devices.media, { audio: true, video: false, screen: false });
});

test('an insecure page has no devices, and says so', async () => {
  const { devices } = setUp(undefined);
  await devices.openMicrophone();
  await devices.openCamera();
  assert.deepEqual([devices.problems.microphone, devices.problems.camera], ['insecure', 'insecure']);
  assert.deepEqual(await devices.list(), { microphones: [], cameras: [], speakers: [] });
});

test('muting keeps the microphone, turning the camera off stops it', async () => {
  const { devices, lost } = setUp(working);
  await devices.openMicrophone();
  await devices.openCamera();
  const camera = devices.tracks.camera;
  devices.setMuted(true);
  devices.close('camera');
  assert.equal(devices.tracks.microphone?.enabled, false);
  assert.equal(/** @type {any} */ (camera).stopped, true);
  assert.deepEqual(devices.media, { audio: false, video: false, screen: false });
  assert.deepEqual(lost, []);
});

test('a camera that goes away is told and forgotten', async () => {
  const { devices, lost } = setUp(working);
  await devices.openCamera();
  /** @type {any} */ (devices.tracks.camera).onended();
  assert.equal(devices.tracks.camera, null);
  assert.equal(devices.stream.getTracks().length, 0);
  await turn();
  assert.deepEqual(lost, ['camera', null]);
});

/** What is plugged in; the browser likes the first of each kind best. @param {{kind: string, deviceId: string}[]} plugged */
function plugs(plugged) {
  return {
    enumerateDevices: async () => plugged,
    getUserMedia: async (/** @type {any} */ wish) => {
      const [kind, constraints] = wish.audio ? ['audio', wish.audio] : ['video', wish.video];
      const fitting = plugged.filter((device) => device.kind === `${kind}input`);
      const found = fitting.find(({ deviceId }) => deviceId === (constraints.deviceId?.exact ?? fitting[0].deviceId));
      if (!found) throw Object.assign(new Error(), { name: 'OverconstrainedError' });
      return new FakeStream([Object.assign(new FakeTrack(kind, found.deviceId), { label: `the ${found.deviceId}` })]);
    },
  };
}

// The microphone in use was off for everybody, though there was another one.
test('where a device is unplugged the next one takes its place, and that is told', async () => {
  const plugged = ['audioinput', 'videoinput'].flatMap((kind) => [1, 2].map((number) => ({ kind, deviceId: `${kind} ${number}` })));
  const { devices, lost } = setUp(plugs(plugged));
  devices.chosen = { microphone: 'audioinput 1', camera: 'videoinput 1' };
  for (const [kind, open] of /** @type {const} */ ([['microphone', 'openMicrophone'], ['camera', 'openCamera']])) {
    await devices[open]();
    if (kind === 'microphone') devices.setMuted(true);
    // Browsers may list it for a moment longer.
    /** @type {any} */ (devices.tracks[kind]).onended();
    await turn();
    assert.match(devices.tracks[kind]?.label ?? '', /2$/);
    assert.deepEqual(lost.splice(0), [kind, devices.tracks[kind]?.label]);
  }
  assert.equal(devices.tracks.microphone?.enabled, false, 'muted stays muted');
  assert.equal(devices.stream.getTracks().length, 2);
  // The last one leaves nothing, and what was turned off or chosen by hand stays so.
  plugged.splice(0, 3);
  /** @type {any} */ (devices.tracks.camera).onended();
  await turn();
  assert.deepEqual([devices.tracks.camera, ...lost.splice(0)], [null, 'camera', null]);
  const microphone = /** @type {any} */ (devices.tracks.microphone);
  devices.closeAll();
  microphone.onended?.();
  await turn();
  assert.deepEqual([devices.tracks.microphone, ...lost], [null]);
});

// Whoever took the camera from the page in the browser's settings was seen by another one at once.
test('where the permission was withdrawn nothing takes the place of a device', async () => {
  const named = [1, 2].map((number) => ({ kind: 'videoinput', deviceId: `c${number}`, label: `camera ${number}` }));
  const nameless = named.map((device) => ({ ...device, label: '' }));
  for (const [permission, devicesThen, next] of /** @type {const} */ ([
    ['granted', named, 'the c2'], ['granted', nameless, 'the c2'], ['denied', named, null], ['prompt', nameless, null], ['prompt', named, 'the c2'],
    ['', nameless, null], ['', named, 'the c2'],
  ])) {
    const { devices, lost } = setUp(plugs(devicesThen), permission);
    await devices.openCamera();
    /** @type {any} */ (devices.tracks.camera).onended();
    await turn();
    assert.deepEqual(lost, ['camera', next], permission);
  }
});

test('the others are tried in order, without other names of what was lost, and not for ever', async () => {
  const plugged = ['default', 'communications', 'lost', 'same', 'in use', 'free', 'other'].map((deviceId) => ({
    kind: 'audioinput', deviceId, groupId: deviceId === 'same' ? 'group of the lost' : deviceId,
  }));
  const { getUserMedia, ...rest } = plugs(plugged);
  /** @type {string[]} */ const asked = [];
  const { devices, lost } = setUp({
    ...rest,
    getUserMedia: async (/** @type {any} */ wish) => {
      const id = wish.audio.deviceId?.exact;
      asked.push(id);
      if (id === 'in use') throw Object.assign(new Error(), { name: 'NotReadableError' });
      return getUserMedia(wish);
    },
  });
  devices.chosen.microphone = 'lost';
  await devices.openMicrophone();
  for (let times = 0; times < 3; times += 1) {
    /** @type {any} */ (devices.tracks.microphone).onended();
    await turn();
  }
  assert.deepEqual(asked, ['lost', 'in use', 'free', 'lost']);
  assert.deepEqual(lost, ['microphone', 'the free', 'microphone', 'the lost', 'microphone', null]);
});

test('changing the camera stops the one before', async () => {
  const { devices } = setUp(working);
  await devices.openCamera();
  const before = devices.tracks.camera;
  await devices.openCamera();
  assert.equal(/** @type {any} */ (before).stopped, true);
  assert.deepEqual(devices.stream.getTracks(), [devices.tracks.camera]);
});

/** Two cameras, of which the browser likes the first one; `asked` are the ids that were demanded. */
function twoCameras() {
  /** @type {(string | undefined)[]} */ const asked = [];
  const getUserMedia = async (/** @type {any} */ { video }) => {
    const id = video.deviceId?.exact;
    asked.push(id);
    if (id !== undefined && !['one', 'two'].includes(id)) throw Object.assign(new Error(), { name: 'OverconstrainedError' });
    return new FakeStream([Object.assign(new FakeTrack('video'), { id: id ?? 'one' })]);
  };
  return { asked, ...setUp({ getUserMedia }) };
}

test('the chosen camera is demanded, and where it is gone another one is taken', async () => {
  const { devices, asked } = twoCameras();
  devices.chosen.camera = 'two';
  await devices.openCamera();
  assert.equal(devices.tracks.camera?.id, 'two');
  devices.chosen.camera = 'gone';
  await devices.openCamera();
  assert.equal(devices.tracks.camera?.id, 'one');
  assert.equal(devices.problems.camera, null);
  assert.deepEqual(asked, ['two', 'gone', undefined]);
});

test('a camera that is chosen while another one opens is the one in the end', async () => {
  const { devices, asked } = twoCameras();
  const opening = devices.openCamera();
  devices.chosen.camera = 'two';
  void devices.openCamera();
  await opening;
  assert.equal(devices.tracks.camera?.id, 'two');
  assert.equal(devices.opening.camera, false);
  assert.deepEqual(asked, [undefined, 'two']);
  // Asking twice for the same opens it once.
  void devices.openCamera();
  await devices.openCamera();
  assert.deepEqual(asked.slice(2), ['two']);
});

test('a device that is allowed after leaving does not stay on', async () => {
  /** @type {any} */ let allow;
  const { devices } = setUp({ getUserMedia: () => new Promise((resolve) => (allow = resolve)) });
  const opening = devices.openCamera();
  devices.closeAll();
  const track = new FakeTrack('video');
  allow(new FakeStream([track]));
  await opening;
  assert.equal(track.stopped, true);
  assert.equal(devices.tracks.camera, null);
});

test('a tab that is chosen after leaving is not listened to', async () => {
  /** @type {any} */ let choose;
  const { devices } = setUp({ getDisplayMedia: () => new Promise((resolve) => (choose = resolve)) });
  const opening = devices.shareScreen();
  devices.closeAll();
  const captured = new FakeStream([new FakeTrack('video'), new FakeTrack('audio')]);
  choose(captured);
  await opening;
  assert.deepEqual(captured.tracks.map(({ stopped }) => stopped), [true, true]);
  assert.deepEqual([devices.tracks.screen, devices.screenAudio, devices.screenStream.getTracks()], [null, null, []]);
});

test('settings are remembered, and survive a storage full of nonsense', () => {
  let stored = '';
  const storage = { getItem: () => stored, setItem: (/** @type {string} */ _key, /** @type {string} */ value) => void (stored = value) };
  const settings = { ...loadSettings(undefined), name: 'Mina', relayOnly: true };
  saveSettings(storage, settings);
  assert.deepEqual(loadSettings(storage), settings);
  for (const nonsense of ['', '{', '7', 'null', '{"name":{},"language":"xx","relayOnly":"yes"}']) {
    stored = nonsense;
    assert.deepEqual(loadSettings(storage), loadSettings(undefined), nonsense);
  }
});

test('a storage that is denied costs what is remembered and nothing else', () => {
  const denied = () => {
    throw new DOMException('The operation is insecure.', 'SecurityError');
  };
  const storage = { getItem: denied, setItem: denied };
  assert.deepEqual(loadSettings(storage), loadSettings(undefined));
  saveSettings(storage, { ...loadSettings(undefined), name: 'Mina' });
});

test('a browser that does not tell its devices opens them all the same', async () => {
  const camera = new FakeTrack('video');
  const { devices } = setUp({
    getUserMedia: async () => new FakeStream([camera]),
    enumerateDevices: () => Promise.reject(new DOMException('', 'NotAllowedError')),
  });
  await devices.openCamera();
  assert.equal(devices.tracks.camera, camera);
  camera.onended?.();
  await turn();
  assert.deepEqual([devices.tracks.camera, devices.problems.camera], [null, null]);
});

test('the address says what to do', () => {
  assert.deepEqual(readQuery('?name=Mina&autojoin=1&relay=1&video=0&lang=ko'), {
    name: 'Mina', language: 'ko', autojoin: true, relayOnly: true, watch: false, audio: true, video: false,
  });
  assert.deepEqual(readQuery(''), { name: null, language: null, autojoin: false, relayOnly: null, watch: false, audio: true, video: true });
});

test('noise suppression opens the microphone anew, and not before it is open', async () => {
  /** @type {any[]} */ const wishes = [];
  const { devices } = setUp({
    getUserMedia: async (/** @type {any} */ wish) => {
      wishes.push(wish.audio.noiseSuppression);
      return working.getUserMedia(wish);
    },
  });
  await devices.setNoiseSuppression(false);
  assert.deepEqual(wishes, []);
  await devices.openMicrophone();
  devices.setMuted(true);
  const before = /** @type {any} */ (devices.tracks.microphone);
  await devices.setNoiseSuppression(true);
  assert.deepEqual(wishes, [false, true]);
  assert.equal(before.stopped, true);
  assert.equal(devices.tracks.microphone?.enabled, false, 'muted stays muted');
});
