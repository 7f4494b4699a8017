// An RTCPeerConnection and a WebSocket reduced to what the check sees of them.

/**
 * A connection that gathers as told. Steps run one per turn.
 * @param {(configuration: RTCConfiguration) => {candidates?: object[], errors?: object[], completes?: boolean, throws?: string}} script
 */
export function fakeGathering(script) {
  /** @type {{configuration: RTCConfiguration, closed: boolean}[]} */
  const opened = [];
  const createConnection = (/** @type {RTCConfiguration} */ configuration) => {
    const { candidates = [], errors = [], completes = true, throws } = script(configuration);
    if (throws) throw new Error(throws);
    const record = { configuration, closed: false };
    opened.push(record);
    /** @type {any} */
    const connection = {
      iceGatheringState: 'gathering',
      createDataChannel: () => ({}),
      close: () => {
        record.closed = true;
      },
      async setLocalDescription() {
        await null;
        for (const candidate of candidates) connection.onicecandidate({ candidate });
        for (const error of errors) connection.onicecandidateerror(error);
        if (!completes) return;
        connection.onicecandidate({ candidate: null });
        connection.iceGatheringState = 'complete';
        connection.onicegatheringstatechange();
      },
    };
    return connection;
  };
  return { createConnection, opened };
}

/**
 * A WebSocket that answers `hello` with these frames, or closes.
 * @param {{frames?: object[], closes?: number}} script
 */
export function fakeSocket({ frames = [], closes }) {
  /** @type {any[]} */
  const sent = [];
  /** @type {any} */
  const socket = {
    sent,
    closed: false,
    onopen: null,
    onmessage: null,
    onclose: null,
    send: (/** @type {string} */ text) => {
      sent.push(JSON.parse(text));
      for (const frame of sent.length === 1 ? frames : []) socket.onmessage?.({ data: JSON.stringify(frame) });
    },
    close: () => {
      socket.closed = true;
    },
  };
  queueMicrotask(() => {
    if (closes !== undefined) socket.onclose?.({ code: closes });
    else socket.onopen?.();
  });
  return socket;
}

/** @param {string} url @param {object} [more] */
export const relayCandidate = (url, more = {}) => ({
  type: 'relay',
  address: '203.0.113.9',
  port: 50_000,
  relatedAddress: '0.0.0.0',
  relatedPort: 0,
  url,
  ...more,
});

/** @param {string} address @param {number} port @param {object} [more] */
export const reflexiveCandidate = (address, port, more = {}) => ({
  type: 'srflx',
  address,
  port,
  relatedAddress: '0.0.0.0',
  relatedPort: 0,
  ...more,
});
