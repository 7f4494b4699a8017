// How pictures are coded, and how much may be spent on them.

/** Video codecs that people may choose, as they are named in SDP. */
export const CODECS = /** @type {const} */ (['VP8', 'VP9', 'H264', 'AV1']);

/**
 * Puts a codec before all others. What the browser does not have is left out, and null leaves the order to it.
 * @param {RTCRtpTransceiver} transceiver
 * @param {string | null} codec
 */
export function preferCodec(transceiver, codec) {
  const known = RTCRtpReceiver.getCapabilities?.('video')?.codecs;
  if (transceiver.receiver.track.kind !== 'video' || !known || !transceiver.setCodecPreferences) return;
  const isWanted = (/** @type {{mimeType: string}} */ { mimeType }) => mimeType.toLowerCase() === `video/${codec}`.toLowerCase();
  transceiver.setCodecPreferences(codec === null ? [] : [...known.filter(isWanted), ...known.filter((other) => !isWanted(other))]);
}

/**
 * Changes what a sender may use, if it is not so already.
 * @param {RTCRtpSender} sender
 * @param {{maxBitrate: number, scaleResolutionDownBy: number, maxFramerate: number}} limits
 */
export async function limitSender(sender, limits) {
  const parameters = sender.getParameters();
  // Before the first description there is nothing to be limited; some browsers have no entry then.
  const encoding = parameters.encodings?.[0];
  if (!encoding) return;
  const present = /** @type {Record<string, unknown>} */ (/** @type {unknown} */ (encoding));
  if (Object.entries(limits).every(([name, value]) => present[name] === value)) return;
  Object.assign(encoding, limits);
  await sender.setParameters(parameters);
}

/**
 * Whether a description refuses pictures: by port 0, which Firefox also writes in an offer for what is to share another section's way.
 * @param {string} sdp
 */
export function refusesPictures(sdp) {
  return sdp.split(/^(?=m=)/m).some((section) => /^m=video 0 /.test(section) && !/^a=bundle-only/m.test(section));
}
