//! What every STUN message begins with (RFC 8489 section 5).

/// Length of the fixed header in bytes.
pub const HEADER_LEN: usize = 20;
/// The value that tells STUN from everything else.
pub const MAGIC_COOKIE: u32 = 0x2112_A442;

/// Twelve bytes chosen by the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TransactionId(pub [u8; 12]);
