// `window.callbox`: the debugging interface. Read-only; end-to-end tests look at a call through it, and so can
// anybody in the browser's console.

/** @import { Call } from './call/call.js' */

/**
 * @param {() => Call | null} currentCall
 */
export function debugInterface(currentCall) {
  const call = () => {
    const current = currentCall();
    if (!current) throw new Error('not in a call');
    return current;
  };
  return Object.freeze({
    /** The state of signaling: `connecting`, `open`, `waiting`, `closed`, or `none` outside of a call. */
    signaling: () => currentCall()?.signalingState ?? 'none',
    /** This page's own peer id; empty before the room is entered. */
    self: () => currentCall()?.selfId ?? '',
    /** Everybody else in the call. */
    peers: () =>
      (currentCall()?.participants ?? []).map((participant) => {
        const { active, info } = participant;
        const { path, protocol, roundTripMs, framesDecoded, audioBytes } = active.statistics;
        return {
          id: participant.id,
          name: participant.name,
          media: info.media,
          away: participant.away,
          ...active.rawStates,
          path,
          protocol,
          roundTripMs,
          relayed: participant.relayed,
          quality: active.history.quality?.level ?? null,
          framesDecoded,
          audioBytes,
          files: participant.files.open,
          chat: call().chat.filter(({ from }) => from === participant.id).map(({ text }) => text),
        };
      }),
    /** @param {string} text */
    sendChat: (text) => void call().sendChat(text),
    /**
     * Sends `count` pings to a peer over the `echo` data channel.
     * @param {string} peer
     * @param {number} count
     */
    echo: (peer, count) => {
      const participant = call().participants.find(({ id }) => id === peer);
      return participant ? participant.active.runEcho(count) : Promise.reject(new Error('no such peer'));
    },
  });
}
