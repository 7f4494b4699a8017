// The messages of `signal.v1` as types. docs/signaling-protocol.md explains them.

/**
 * What a peer sends, as it tells the room.
 * @typedef {{audio: boolean, video: boolean, screen: boolean}} Media
 *
 * @typedef {'host' | 'participant' | 'viewer'} Role
 *
 * A peer as the roster shows it. `polite` is this client's own role in perfect negotiation towards it.
 * @typedef {object} PeerInfo
 * @property {string} peer
 * @property {string} name
 * @property {Role} role
 * @property {'here' | 'away'} state
 * @property {Media} media
 * @property {boolean} polite
 *
 * @typedef {object} RoomInfo
 * @property {string} name
 * @property {boolean} locked
 * @property {number} capacity
 * @property {PeerInfo[]} peers
 *
 * An entry of `RTCConfiguration.iceServers` with the end of its life, in seconds since 1970.
 * @typedef {RTCIceServer & {expires_at?: number}} IceServer
 */

/**
 * Client to server. The signaling client adds `id` itself, and `resume` to `hello`.
 * @typedef {{type: 'hello', room: string, name?: string, namespace?: string, role?: 'participant' | 'viewer', token?: string,
 *   media?: Media}} Hello
 * @typedef {{epoch: number, description: RTCSessionDescriptionInit}
 *   | {epoch: number, candidate: RTCIceCandidateInit | null}} SignalBody
 * @typedef {{type: 'signal', to: string} & SignalBody} OutSignal
 * @typedef {{type: 'chat', text: string, to?: string}} OutChat
 * @typedef {{type: 'event', name: string, data?: unknown, to?: string | string[]}} OutEvent
 * @typedef {{type: 'update', name?: string, media?: Partial<Media>}} OutUpdate
 * @typedef {'kick' | 'lock' | 'unlock' | 'mute'} ModerateAction
 * @typedef {{type: 'moderate', action: ModerateAction, peer?: string}} OutModerate
 * @typedef {OutSignal | OutChat | OutEvent | OutUpdate | OutModerate} OutMessage
 */

/**
 * Server to client.
 * @typedef {object} Welcome
 * @property {'welcome'} type
 * @property {string} peer
 * @property {Role} [role]
 * @property {string} ticket
 * @property {boolean} resumed
 * @property {number} received
 * @property {IceServer[]} ice_servers
 * @property {RoomInfo} room
 *
 * @typedef {{type: 'signal', seq: number, from: string, id: number} & SignalBody} InSignal
 * @typedef {{type: 'chat', seq: number, from: string, id: number, text: string}} InChat
 * @typedef {{type: 'event', seq: number, from: string, id: number, name: string, data?: unknown}} InEvent
 * @typedef {{type: 'peer_joined', seq: number, peer: PeerInfo}} PeerJoined
 * @typedef {{type: 'peer_updated', seq: number, peer: PeerInfo}} PeerUpdated
 * @typedef {'bye' | 'timeout' | 'kicked' | 'replaced'} LeftReason
 * @typedef {{type: 'peer_left', seq: number, peer: string, reason: LeftReason}} PeerLeft
 * @typedef {{type: 'delivered', ids: number[], failed?: Record<string, string[]>}} Delivered
 * @typedef {{type: 'ice_servers', seq: number, ice_servers: IceServer[], reason?: 'renewal' | 'relay_lost'}} IceServers
 * @typedef {{type: 'room_updated', seq: number, locked: boolean}} RoomUpdated
 * @typedef {{type: 'goaway', reason: string, resume_in_ms: number}} Goaway
 * @typedef {{type: 'error', code: string, message: string, id?: number, retry_after_ms?: number}} ErrorMessage
 *
 * @typedef {Welcome | InSignal | InChat | InEvent | PeerJoined | PeerUpdated | PeerLeft | Delivered
 *   | IceServers | RoomUpdated | Goaway | ErrorMessage} InMessage
 */

/**
 * Time and chance are arguments, so that tests decide both. Milliseconds.
 * @typedef {object} Clock
 * @property {() => number} now
 * @property {(callback: () => void, delay: number) => number} setTimeout
 * @property {(timer: number) => void} clearTimeout
 */

/** @type {Clock} */
export const systemClock = {
  now: () => Date.now(),
  setTimeout: (callback, delay) => /** @type {number} */ (/** @type {unknown} */ (setTimeout(callback, delay))),
  clearTimeout: (timer) => clearTimeout(timer),
};
