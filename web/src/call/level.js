// How loud a local stream is. No DOM.

/** Nothing is played: no output device, and rare wake-ups, spare batteries. Browsers without `sinkId` ignore it. */
const SILENT = { latencyHint: /** @type {const} */ ('playback'), sinkId: { type: 'none' } };

/**
 * A meter is an extra that some browsers refuse (Firefox without `dom.webaudio.enabled`, or at another sample rate): nothing else may
 * fail with it.
 * @param {MediaStream} stream with a microphone track
 * @returns {{level: () => number, close: () => void} | null} `level` is 0 to 1, on a scale that follows the ear; null where the
 *   browser cannot measure
 */
export function levelMeter(stream) {
  // A clone: the meter must not keep the stream's own track busy when it is replaced.
  const heard = stream.clone();
  /** @type {AudioContext | undefined} */ let context;
  const close = () => {
    for (const track of heard.getTracks()) track.stop();
    void context?.close().catch(() => undefined);
  };
  try {
    context = new AudioContext(SILENT);
    const analyser = new AnalyserNode(context, { fftSize: 512 });
    context.createMediaStreamSource(heard).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    const level = () => {
      analyser.getFloatTimeDomainData(samples);
      let sum = 0;
      for (const sample of samples) sum += sample * sample;
      const decibels = 10 * Math.log10(sum / samples.length + 1e-9);
      return Math.min(1, Math.max(0, (decibels + 60) / 60));
    };
    return { level, close };
  } catch {
    close();
    return null;
  }
}
