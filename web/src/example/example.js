// A call in thirty lines: everybody in the room, with sound and picture, over lost connections and restarted servers.
import { Call } from '../call/call.js';
import { Devices } from '../call/devices.js';
import { newSha256 } from '../call/files/sha256.js';
import { newIdentity } from '../call/identity.js';
import { SignalingClient, SUBPROTOCOL } from '../protocol/signaling.js';
import { systemClock as clock } from '../protocol/types.js';

const room = new URLSearchParams(location.search).get('room') ?? 'example';
const newId = () => Array.from(crypto.getRandomValues(new Uint32Array(4)), String).join('-');
const newStream = () => new MediaStream();
const connect = () => new WebSocket(`${location.origin.replace(/^http/, 'ws')}/signal`, SUBPROTOCOL);
const { mediaDevices } = navigator;
const devices = new Devices({ mediaDevices, newStream, onChange: () => call.devicesChanged(), onLost: console.warn });
/** @type {Map<string, HTMLVideoElement>} */ const videos = new Map();
const call = new Call({
  createSignaling: (handlers) =>
    new SignalingClient({ ...handlers, connect, hello: { type: 'hello', room, name: 'Example', role: 'participant', media: devices.media }, clock, random: Math.random }),
  createConnection: (configuration) => new RTCPeerConnection(configuration),
  preferences: () => ({ low: false, codec: null }),
  ...{ devices, newStream, newId, clock, newHash: newSha256, identity: newIdentity(), watch: false, relayOnly: false, onNotice: console.log },
  onChange: () => {
    for (const { id, active } of call.participants) {
      const video = videos.get(id) ?? Object.assign(document.createElement('video'), { autoplay: true, controls: true });
      if (video.srcObject !== active.stream) video.srcObject = active.stream;
      if (!videos.has(id)) document.body.append(video);
      videos.set(id, video);
    }
    for (const [id, video] of videos) if (!call.participants.some((other) => other.id === id)) video.remove();
  },
});
await devices.openMicrophone();
await devices.openCamera();
call.enter();
