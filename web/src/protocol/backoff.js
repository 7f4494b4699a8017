/** First wait before a reconnection, in milliseconds. */
export const FIRST_DELAY_MS = 250;
/** Longest wait, in milliseconds. */
export const LONGEST_DELAY_MS = 5000;

/**
 * How long to wait before reconnection number `attempt` (0 is the first), in milliseconds. The jitter
 * takes up to half of it away, so that the clients of a restarted server do not all return at once.
 * @param {number} attempt
 * @param {number} random between 0 and 1
 */
export function reconnectDelay(attempt, random) {
  // The exponent is capped because 2 ** 1024 is Infinity.
  const full = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(attempt, 16));
  return full * (0.5 + random / 2);
}
