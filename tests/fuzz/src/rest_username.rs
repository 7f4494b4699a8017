//! User names of time-limited credentials, against a second way to read them.

use stun_turn_proto::auth::credential::{account, expires_at, mint};

pub(crate) fn run(input: &[u8]) {
    assert_eq!(expires_at(input), reference(input), "{input:?}");
    let account = account(input);
    assert!(input.ends_with(account) || input.starts_with(account));
    if expires_at(input).is_none() {
        assert_eq!(account, input, "the name of a static user is whole");
    }
    let Ok(id) = std::str::from_utf8(input) else {
        return;
    };
    let minted = mint(b"north", id, 1_700_000_000).username;
    assert_eq!(expires_at(minted.as_bytes()), Some(1_700_000_000));
}

/// Letter by letter, as the convention says it, and coturn.
fn reference(name: &[u8]) -> Option<u64> {
    let text: String = name.iter().map(|byte| char::from(*byte)).collect();
    let is_number = |part: &str| part.chars().all(|letter| letter.is_ascii_digit());
    let digits = match text.split_once(':') {
        Some((first, second)) if !is_number(first) => second.to_owned(),
        Some((first, _)) => first.to_owned(),
        None => text,
    };
    if digits.is_empty() || !is_number(&digits) || digits.len() > 19 {
        return None;
    }
    digits.chars().try_fold(0_u64, |sum, digit| {
        sum.checked_mul(10)?
            .checked_add(u64::from(digit.to_digit(10)?))
    })
}
