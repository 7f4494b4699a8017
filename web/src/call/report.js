// All that is known about a connection, for whoever looks into it. No credentials, no names. Pure.

/** @import { Participant } from './participant.js' */

/** @param {Pick<Participant, 'id' | 'active'>} participant */
export function connectionReport({ id, active }) {
  const { history, rawStates } = active;
  return {
    peer: id,
    ...rawStates,
    quality: history.quality,
    now: history.latest && { ...history.latest, at: new Date(history.latest.at).toISOString() },
    history: history.points.map((point) => ({ ...point, at: new Date(point.at).toISOString() })),
  };
}
