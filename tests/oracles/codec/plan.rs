//! A message as it is meant, and what a reader makes of it.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use stun_turn_proto::integrity::{Hash, Key};
use stun_turn_proto::message::Class;

use crate::attribute::{Meaning, meaning};
use crate::ours;

/// A message to be written.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) class: Class,
    pub(crate) method: u16,
    pub(crate) transaction: [u8; 12],
    /// Each type at most once.
    pub(crate) attributes: Vec<Meaning>,
    pub(crate) seal: Option<Seal>,
    pub(crate) has_fingerprint: bool,
}

/// How it is signed.
#[derive(Debug, Clone)]
pub(crate) struct Seal {
    pub(crate) hash: Hash,
    /// 16 or 32 characters of ASCII: `stun-types` takes keys of its own making only, or passwords, which are text.
    pub(crate) key: String,
}

impl Seal {
    /// The key for our codec.
    pub(crate) fn key(&self) -> Key {
        match self.key.as_bytes().try_into() {
            Ok(key) => Key::Md5(key),
            Err(_) => Key::Sha256(self.key.as_bytes().try_into().expect("16 or 32 bytes")),
        }
    }
}

/// What a reader has found, up to the first attribute that proves something: what may be acted on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) class: Class,
    pub(crate) method: u16,
    pub(crate) transaction: [u8; 12],
    /// Types and values in order.
    pub(crate) attributes: Vec<(u16, Vec<u8>)>,
    pub(crate) has_fingerprint: bool,
}

/// Any message.
pub(crate) fn plan() -> impl Strategy<Value = Plan> {
    let class = select(
        &[
            Class::Request,
            Class::Indication,
            Class::Success,
            Class::Error,
        ][..],
    );
    let method = select(ours::methods());
    let hash = select(&[Hash::Sha1, Hash::Sha256][..]);
    let key = prop_oneof!["[!-~]{16}", "[!-~]{32}"];
    let seal = proptest::option::of((hash, key).prop_map(|(hash, key)| Seal { hash, key }));
    let parts = (
        class,
        method,
        any::<[u8; 12]>(),
        vec(meaning(), 0..8),
        seal,
        any::<bool>(),
    );
    parts.prop_map(|(class, method, transaction, all, seal, has_fingerprint)| {
        let mut attributes: Vec<Meaning> = Vec::new();
        for meaning in all {
            if attributes
                .iter()
                .all(|other| other.kind() != meaning.kind())
            {
                attributes.push(meaning);
            }
        }
        Plan {
            class,
            method,
            transaction,
            attributes,
            seal,
            has_fingerprint,
        }
    })
}
