//! What the hub needs from outside besides time.

use std::time::Duration;

use crate::message::client::Hello;
use crate::message::server::{IceServer, Role};

/// See the module.
pub trait Environment {
    /// Fills `bytes` with unpredictable ones.
    fn random(&mut self, bytes: &mut [u8]);

    /// The time since 1970, as tickets tell it; it may jump.
    fn unix_time(&mut self) -> Duration;

    /// Whether pages of this origin, which is not the server's own, may enter rooms of `namespace`.
    fn permits(&mut self, namespace: &str, page: &str) -> bool;

    /// Whether a `hello` that begins a session may enter its room, and as what.
    ///
    /// # Errors
    /// When it may not. Why is nobody's business: all answers look alike.
    fn authorize(&mut self, hello: &Hello) -> Result<Grant, Unauthorized>;

    /// STUN and TURN servers for one peer. `account` is how relays know it: `PEER:TAG`, where the peers of one room have
    /// one tag; `reached_as` is what its connection's [`Arrival`](super::Arrival) says. No credential is
    /// good after `until`, in seconds since 1970.
    fn ice_servers(
        &mut self,
        account: &str,
        reached_as: &str,
        until: Option<u64>,
    ) -> Vec<IceServer>;
}

/// What a newcomer may be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grant {
    /// `None` where rooms are open: then the first participant to enter is host.
    pub role: Option<Role>,
    /// What it is called, whatever its `hello` says.
    pub name: Option<String>,
    /// Expiry of the token, in seconds since 1970. The session outlives it, but gets no credentials
    /// beyond it, and no other process adopts it afterwards.
    pub expires_at: Option<u64>,
}

/// A `hello` that may not enter its room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unauthorized;
