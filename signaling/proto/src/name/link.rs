//! The room that a link leads to.

use std::borrow::Cow;

use super::{BadName, room};

/// Why a text names no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoRoom {
    /// It is an address, and not a room's.
    #[error("is an address without `/room/NAME`")]
    Elsewhere,
    /// The name is none.
    #[error(transparent)]
    BadName(#[from] BadName),
}

impl NoRoom {
    /// The word for it in `tests/names.json`.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Elsewhere => "no_room",
            Self::BadName(bad) => bad.reason(),
        }
    }
}

/// The room that somebody wrote: its name, its address (`https://HOST/room/NAME`) or that address's
/// path. What else an address says is not looked at.
///
/// # Errors
/// When it is an address without a room, or the name is none.
pub fn room_of(text: &str) -> Result<String, NoRoom> {
    let text = text.trim();
    let path = match text.split_once("://") {
        Some((scheme, rest)) if is_web(scheme) => {
            let path = rest.find('/').and_then(|at| rest.get(at..));
            Some(path.unwrap_or_default())
        }
        _ if text.starts_with("/room/") => Some(text),
        _ => None,
    };
    let Some(path) = path else {
        return Ok(room(text)?);
    };
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let (_, name) = path.split_once("/room/").ok_or(NoRoom::Elsewhere)?;
    let name = name.strip_suffix('/').unwrap_or(name);
    if name.is_empty() || name.contains('/') {
        return Err(NoRoom::Elsewhere);
    }
    Ok(room(&decoded(name))?)
}

fn is_web(scheme: &str) -> bool {
    ["http", "https", "ws", "wss"]
        .iter()
        .any(|it| scheme.eq_ignore_ascii_case(it))
}

/// A part of a path without its percent-encoding; as it is when that is none.
fn decoded(part: &str) -> Cow<'_, str> {
    if !part.contains('%') {
        return part.into();
    }
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let (Some(high), Some(low)) = (digit(rest.next()), digit(rest.next())) else {
            return part.into();
        };
        bytes.extend(u8::try_from(high * 16 + low));
    }
    String::from_utf8(bytes).map_or_else(|_| part.into(), Into::into)
}
