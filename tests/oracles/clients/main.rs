//! Other people's TURN clients against our relay, over real sockets on loopback.
//!
//! None of them was written with our relay in mind, nor by us: where one of them gets along with it, two independent
//! readings of the RFCs agree. Waiting is for conditions, up to [`patience::patience`].

mod clock;
mod peer;
mod relay;
mod rice;
mod rice_link;
mod webrtc_rs;
mod webrtc_rs_link;
