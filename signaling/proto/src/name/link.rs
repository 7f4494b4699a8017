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

/// The room that somebody wrote: its name, its address (`https://HOST/room/NAME`, also without its
/// scheme) or that address's path. What else an address says is not looked at.
///
/// # Errors
/// When it is an address without a room, or the name is none.
pub fn room_of(text: &str) -> Result<String, NoRoom> {
    let text = text.trim();
    let Some(path) = path_of(text) else {
        return Ok(room(text)?);
    };
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let path = path.trim_end_matches('/');
    let (before, name) = path.rsplit_once('/').ok_or(NoRoom::Elsewhere)?;
    let (_, folder) = before.rsplit_once('/').ok_or(NoRoom::Elsewhere)?;
    // As capitals do not matter to the page.
    if !folder.eq_ignore_ascii_case("room") {
        return Err(NoRoom::Elsewhere);
    }
    Ok(room(&decoded(name))?)
}

/// The path of an address; `None` when the text is none.
fn path_of(text: &str) -> Option<&str> {
    let rest = match text.split_once("://") {
        Some((scheme, rest)) if is_web(scheme) => rest,
        _ if is_room_path(text) => return Some(text),
        _ => text
            .split_once('/')
            .filter(|(host, _)| is_host(host))
            .map(|_| text)?,
    };
    let path = rest.find('/').and_then(|at| rest.get(at..));
    Some(path.unwrap_or_default())
}

fn is_room_path(text: &str) -> bool {
    let start = text.get(.."/room/".len());
    start.is_some_and(|start| start.eq_ignore_ascii_case("/room/"))
}

/// A name with a dot, with or without a port.
fn is_host(text: &str) -> bool {
    let (name, port) = text.split_once(':').unwrap_or((text, "0"));
    let is_label = |label: &str| {
        let mut characters = label.chars();
        !label.is_empty() && characters.all(|it| it.is_ascii_alphanumeric() || "-_".contains(it))
    };
    name.contains('.')
        && name.split('.').all(is_label)
        && !port.is_empty()
        && port.bytes().all(|it| it.is_ascii_digit())
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
