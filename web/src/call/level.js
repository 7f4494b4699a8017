// How loud a local stream is. No DOM.

/**
 * @param {MediaStream} stream with a microphone track
 * @returns {{level: () => number, close: () => void}} `level` is 0 to 1, on a scale that follows the ear
 */
export function levelMeter(stream) {
  const context = new AudioContext();
  const analyser = new AnalyserNode(context, { fftSize: 512 });
  // A clone: the meter must not keep the stream's own track busy when it is replaced.
  const source = context.createMediaStreamSource(stream.clone());
  source.connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  return {
    level() {
      analyser.getFloatTimeDomainData(samples);
      let sum = 0;
      for (const sample of samples) sum += sample * sample;
      const decibels = 10 * Math.log10(sum / samples.length + 1e-9);
      return Math.min(1, Math.max(0, (decibels + 60) / 60));
    },
    close() {
      source.disconnect();
      for (const track of source.mediaStream.getTracks()) track.stop();
      void context.close();
    },
  };
}
