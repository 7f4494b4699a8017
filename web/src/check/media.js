// What is told about the way through the relay, and about camera, microphone and speaker. Pure.

import { failed, notApplicable, ok } from './finding.js';

/** @import { DeviceProblem } from '../call/devices.js' */
/** @import { TextKey } from '../texts/texts.js' */
/** @import { Finding } from './finding.js' */
/** @import { LoopbackOutcome } from './loopback.js' */

/** From here on people talk over each other, in milliseconds; through the relay and back. */
const SLOW_MS = 400;
/** From here on sound breaks up: share of packets lost. */
const LOSSY = 0.03;
/** What a small picture with sound needs, in bits per second. */
const NARROW_BPS = 600_000;

/**
 * @param {LoopbackOutcome | null} outcome null: no relay to try it with
 * @returns {Finding}
 */
export function explainLoopback(outcome) {
  if (outcome === null) return notApplicable({ key: 'check.loop_no_relay' });
  if (!outcome.connected) {
    const { reason, addresses } = outcome;
    const facts = { reason, addresses };
    if (addresses < 2) return failed({ key: 'check.loop_no_address' }, { key: 'check.relay_quota_do' }, facts);
    return failed({ key: 'check.loop_failed' }, { key: 'check.loop_failed_do' }, facts);
  }
  const { protocol, roundTripMs, sent, received, bitsPerSecond } = outcome;
  const loss = sent > 0 ? 1 - received / sent : 0;
  const ms = Math.round(roundTripMs);
  const percent = Math.round(loss * 1000) / 10;
  const megabits = Math.round(bitsPerSecond / 100_000) / 10;
  const facts = { protocol, round_trip_ms: ms, sent, received, loss_percent: percent, megabits_per_s: megabits };
  const values = { ms, percent, megabits };
  if (loss > LOSSY) return failed({ key: 'check.loop_lossy', values }, { key: 'check.network_do' }, facts);
  if (ms > SLOW_MS) return failed({ key: 'check.loop_slow', values }, { key: 'check.loop_slow_do' }, facts);
  if (bitsPerSecond < NARROW_BPS) return failed({ key: 'check.loop_narrow', values }, { key: 'check.network_do' }, facts);
  return ok({ key: 'check.loop_ok', values }, facts);
}

/** @type {Record<DeviceProblem, TextKey>} */
const PROBLEMS = {
  insecure: 'problem.insecure',
  denied: 'problem.denied',
  dismissed: 'problem.dismissed',
  not_found: 'problem.not_found',
  in_use: 'problem.in_use',
  failed: 'problem.failed',
};

/** @type {Record<'camera' | 'microphone', TextKey>} */
const NAMES = { camera: 'device.camera', microphone: 'device.microphone' };

/**
 * @param {'camera' | 'microphone'} kind
 * @param {DeviceProblem} problem
 * @returns {Finding}
 */
export function explainDeviceProblem(kind, problem) {
  const message = { key: PROBLEMS[problem], values: { device: { key: NAMES[kind] } } };
  return failed(message, null, { problem });
}

/**
 * @param {{width: number, height: number, frames: number, dark: boolean}} picture
 * @returns {Finding}
 */
export function explainCamera({ width, height, frames, dark }) {
  const facts = { width, height, frames, dark };
  if (frames === 0) return failed({ key: 'check.camera_black' }, { key: 'check.camera_black_do' }, facts);
  if (dark) return failed({ key: 'check.camera_dark' }, { key: 'check.camera_black_do' }, facts);
  return ok({ key: 'check.camera_ok', values: { width, height } }, facts);
}

/**
 * @param {boolean} heard whether there was any sound
 * @returns {Finding}
 */
export function explainMicrophone(heard) {
  if (heard) return ok({ key: 'check.microphone_ok' }, { heard });
  return failed({ key: 'check.microphone_silent' }, { key: 'check.microphone_silent_do' }, { heard });
}

/**
 * @param {boolean} heard what the reader says
 * @returns {Finding}
 */
export function explainSpeaker(heard) {
  if (heard) return ok({ key: 'check.speaker_ok' }, { heard });
  return failed({ key: 'check.speaker_silent' }, { key: 'check.speaker_silent_do' }, { heard });
}
