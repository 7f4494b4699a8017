// The messages of `signal.v1`, generated from the types in signaling/proto by its tests: do not edit.

/** What a client says. */
export type ClientMessage =
  | {type: 'hello'} & Hello
  | {type: 'signal'} & ClientSignal
  | {type: 'chat'} & ClientChat
  | {type: 'event'} & ClientEvent
  | {type: 'update'} & Update
  | {type: 'moderate'} & Moderate
  | {type: 'ack'} & Ack
  | {type: 'bye'};

/** What a client may ask to be; who is host is decided by the server. */
export type WantedRole = 'participant' | 'viewer';

/** What is now on or off; what is absent stays. */
export type MediaChange = {
  /** Microphone. */
  audio?: boolean;
  /** Camera. */
  video?: boolean;
  /** Screen. */
  screen?: boolean;
};

/** How to go on with an earlier session. */
export type Resume = {
  /** The last `welcome`'s ticket. */
  ticket: string;
  /** Highest `seq` that the client has processed. */
  received: Seq;
  /**
   * Whom this client knows to be in the room, itself left out. A server that does not know the
   * session keeps messages for these until they are back too.
   */
  peers?: PeerId[];
};

/** Counts what the server sends to one client within its session: 1, 2, 3, … */
export type Seq = number;

/** Who somebody is to the others in the room: given by the server, opaque to clients, unguessable. */
export type PeerId = string;

/** First frame of every connection. */
export type Hello = {
  /** Which room to enter. */
  room: string;
  /** How the others see this peer. */
  name?: string;
  /** Which application's rooms; `main` when absent. */
  namespace?: string;
  /** What this peer wants to be. */
  role?: WantedRole;
  /** Room token, where the server asks for one. */
  token?: string;
  /** What this peer sends from the start; what is absent is off. */
  media?: MediaChange;
  /** Goes on with an earlier session. */
  resume?: Resume;
};

/** Counts what one client sends within its session: 1, 2, 3, … */
export type MessageId = number;

/**
 * Which negotiation of a pair of peers a `signal` belongs to: what comes from an older one is stale.
 * Chosen by the clients; the server only passes it on.
 */
export type Epoch = number;

/** An `RTCSessionDescription`; `rollback` goes without `sdp`. */
export type Description = {
  type: SdpKind;
  sdp?: string;
};

/** `type` of a session description, as the W3C names them. */
export type SdpKind = 'offer' | 'pranswer' | 'answer' | 'rollback';

/** An `RTCIceCandidate` as browsers write it. */
export type Candidate = {
  candidate: string;
  sdpMid?: string | null;
  sdpMLineIndex?: number | null;
  usernameFragment?: string | null;
};

/** Offer, answer or candidate for one peer. */
export type ClientSignal = {
  /** Position in what this client sends. */
  id: MessageId;
  /** Who gets it. */
  to: PeerId;
  /** Which negotiation it belongs to. */
  epoch: Epoch;
} & ({description: Description} | {candidate: Candidate | null});

/** Text for one peer or the room. */
export type ClientChat = {
  /** Position in what this client sends. */
  id: MessageId;
  /** What to say. */
  text: string;
  /** Who gets it; everybody else in the room when absent. */
  to?: PeerId;
};

/** A JSON value, byte for byte as its author wrote it. */
export type Verbatim = unknown;

/** A peer or a list of peers. */
export type Recipients = PeerId | PeerId[];

/** Application event for some peers or the room. */
export type ClientEvent = {
  /** Position in what this client sends. */
  id: MessageId;
  /** The application's name for it. */
  name: string;
  /** The application's own JSON. */
  data?: Verbatim;
  /** Who gets it; everybody else in the room when absent. */
  to?: Recipients;
};

/** Changes what the others see of this peer; what is absent stays. */
export type Update = {
  /** Position in what this client sends. */
  id: MessageId;
  /** A new name. */
  name?: string;
  /** What is now on or off. */
  media?: MediaChange;
};

/** What a host may do. */
export type ModerateAction = 'kick' | 'lock' | 'unlock' | 'mute';

/** What hosts may do to a room and its peers. */
export type Moderate = {
  /** Position in what this client sends. */
  id: MessageId;
  /** What to do. */
  action: ModerateAction;
  /** To whom: `kick` and `mute` need it. */
  peer?: PeerId;
};

/** Everything up to `seq` has arrived. */
export type Ack = {
  /** Highest `seq` that has been processed. */
  seq: Seq;
};

/** What the server says. */
export type ServerMessage =
  | {type: 'welcome'} & Welcome
  | {type: 'signal'} & ServerSignal
  | {type: 'chat'} & ServerChat
  | {type: 'event'} & ServerEvent
  | {type: 'peer_joined'} & PeerJoined
  | {type: 'peer_updated'} & PeerUpdated
  | {type: 'peer_left'} & PeerLeft
  | {type: 'delivered'} & Delivered
  | {type: 'ice_servers'} & IceServersRenewed
  | {type: 'ticket'} & NewTicket
  | {type: 'room_updated'} & RoomUpdated
  | {type: 'goaway'} & Goaway
  | {type: 'error'} & ServerError;

/** What a peer is in its room. */
export type Role = 'host' | 'participant' | 'viewer';

/** What the server accepts. */
export type Limits = {
  /** Largest frame in bytes. */
  frame_bytes: number;
  /** Longest peer name in characters; longer ones are cut. */
  name_chars: number;
  /** What may wait for this client's `ack`, in bytes. */
  replay_bytes: number;
};

/** One entry of `RTCConfiguration.iceServers`, with the end of its life. */
export type IceServer = {
  /** `stun:`, `turn:` and `turns:` URLs. */
  urls: string[];
  /** TURN user name. */
  username?: string;
  /** TURN password. */
  credential?: string;
  /** When the credential stops opening new allocations, in seconds since 1970. */
  expires_at?: number;
};

/** A room as one of its peers sees it. */
export type RoomState = {
  /** Its name. */
  name: string;
  /** Whether newcomers are refused. */
  locked: boolean;
  /** How many peers fit. */
  capacity: number;
  /** Everybody else, those who have been there longest first. */
  peers: Peer[];
};

/** A peer as another one sees it. */
export type Peer = {
  /** Who it is. */
  peer: PeerId;
  /** How it calls itself; empty when it did not say. */
  name: string;
  /** What it is. */
  role: Role;
  /** Whether it is reachable now. */
  state: Presence;
  /** What it sends. */
  media: Media;
  /**
   * The reader's own role in perfect negotiation towards this peer: of each pair exactly one is
   * polite. Means nothing (`false`) where a client is told about itself.
   */
  polite: boolean;
};

/** Whether a peer is reachable now. */
export type Presence = 'here' | 'away';

/** What a peer sends, as it tells the room. */
export type Media = {
  /** Microphone on. */
  audio: boolean;
  /** Camera on. */
  video: boolean;
  /** Screen shared. */
  screen: boolean;
};

/** Answer to `hello`. */
export type Welcome = {
  /** Who this client is. */
  peer: PeerId;
  /** What this client is. */
  role: Role;
  /** Opaque; lets this client go on with the session over a new connection. */
  ticket: string;
  /** Whether an earlier session goes on. */
  resumed: boolean;
  /** Highest `id` of this client that the server has taken. */
  received: MessageId;
  /** How long a lost connection may be replaced, in seconds; 0 where sessions can't be resumed. */
  resume_window_s: number;
  /** How often the server asks whether the client is alive, in seconds. */
  ping_interval_s: number;
  /** What the server accepts. */
  limits: Limits;
  /** STUN and TURN servers for `RTCPeerConnection`. */
  ice_servers: IceServer[];
  /** The room as it is now, without this client. */
  room: RoomState;
};

/** Offer, answer or candidate of another peer. */
export type ServerSignal = {
  /** Who sent it, by the server's word. */
  from: PeerId;
  /** The sender's `id` of it. */
  id: MessageId;
  /** Which negotiation it belongs to. */
  epoch: Epoch;
  /** Position in what the server sends to this client. */
  seq: Seq;
} & ({description: Description} | {candidate: Candidate | null});

/** Text of another peer. */
export type ServerChat = {
  /** Who sent it, by the server's word. */
  from: PeerId;
  /** The sender's `id` of it. */
  id: MessageId;
  /** What was said. */
  text: string;
  /** Position in what the server sends to this client. */
  seq: Seq;
};

/** Application event of another peer. */
export type ServerEvent = {
  /** Who sent it, by the server's word. */
  from: PeerId;
  /** The sender's `id` of it. */
  id: MessageId;
  /** The application's name for it. */
  name: string;
  /** The application's own JSON. */
  data?: Verbatim;
  /** Position in what the server sends to this client. */
  seq: Seq;
};

/** Somebody entered. */
export type PeerJoined = {
  /** Who, with this client's role towards it. */
  peer: Peer;
  /** Position in what the server sends to this client. */
  seq: Seq;
};

/** Somebody's entry in the roster changed; a client also learns of its own new role this way. */
export type PeerUpdated = {
  /** The whole entry as it is now. */
  peer: Peer;
  /** Position in what the server sends to this client. */
  seq: Seq;
};

/** Why a peer is gone. */
export type LeftReason = 'bye' | 'timeout' | 'kicked' | 'replaced';

/** Somebody is gone. */
export type PeerLeft = {
  /** Who. */
  peer: PeerId;
  /** Why. */
  reason: LeftReason;
  /** Position in what the server sends to this client. */
  seq: Seq;
};

/**
 * Each of these messages of this client was acknowledged by every recipient, or that recipient left
 * before it could.
 */
export type Delivered = {
  /** Which ones. */
  ids: MessageId[];
  /** Of these, who left before acknowledging. */
  failed?: Record<string, PeerId[]>;
};

/** Why fresh ICE servers come. */
export type IceServersReason = 'renewal' | 'relay_lost';

/** Fresh credentials, pushed before the old ones expire. */
export type IceServersRenewed = {
  /** Replaces what the client has. */
  ice_servers: IceServer[];
  /** Why they come. */
  reason?: IceServersReason;
  /** Position in what the server sends to this client. */
  seq: Seq;
};

/** A ticket that is good for longer than the one before, which it replaces. */
export type NewTicket = {
  /** As in `welcome`. */
  ticket: string;
};

/** The room itself changed. */
export type RoomUpdated = {
  /** Whether newcomers are refused. */
  locked: boolean;
  /** Position in what the server sends to this client. */
  seq: Seq;
};

/** Why the server closes a connection. */
export type GoawayReason = 'shutdown';

/** The server is about to close this connection. */
export type Goaway = {
  /** Why. */
  reason: GoawayReason;
  /** When to connect again, in milliseconds from now; spread over clients already. */
  resume_in_ms: number;
};

/** What was wrong, for programs. */
export type ErrorCode =
  | 'bad_message'
  | 'unknown_type'
  | 'no_such_peer'
  | 'unauthorized'
  | 'forbidden'
  | 'resume_failed'
  | 'hello_timeout'
  | 'replaced'
  | 'too_large'
  | 'room_locked'
  | 'rate_limited'
  | 'slow_consumer'
  | 'slow_recipient'
  | 'room_full'
  | 'draining'
  | 'internal';

/** Something was refused: the message `id` alone, or, before a close, the connection. */
export type ServerError = {
  /** For programs. */
  code: ErrorCode;
  /** For people. */
  message: string;
  /** Which message of this client was refused. */
  id?: MessageId;
  /** When it may succeed, in milliseconds from now. */
  retry_after_ms?: number;
};
