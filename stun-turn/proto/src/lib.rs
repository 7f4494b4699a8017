//! STUN and TURN as a pure core: wire format, authentication, peer policy and allocation state machine; no sockets, no clock.
