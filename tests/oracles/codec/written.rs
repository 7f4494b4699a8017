//! What one codec writes, the others read as it was meant.

use proptest::prelude::*;
use stun_turn_proto::auth::PasswordAlgorithm;
use stun_turn_proto::integrity::{Hash, Key};
use stun_types::message::{
    IntegrityAlgorithm, LongTermKeyCredentials, Message, MessageIntegrityCredentials,
};

use crate::plan::{Plan, Reading, plan};
use crate::{config, ours, rice, webrtc_rs};

/// A reader's findings are what was meant, attribute for attribute.
fn is_as_meant(plan: &Plan, read: Option<Reading>) -> Result<(), TestCaseError> {
    let read = read.ok_or_else(|| TestCaseError::fail("refused"))?;
    prop_assert_eq!(read.class, plan.class);
    prop_assert_eq!(read.method, plan.method);
    prop_assert_eq!(read.transaction, plan.transaction);
    prop_assert_eq!(read.has_fingerprint, plan.has_fingerprint);
    let kinds: Vec<u16> = read.attributes.iter().map(|(kind, _)| *kind).collect();
    let meant: Vec<u16> = plan
        .attributes
        .iter()
        .map(|meaning| meaning.kind())
        .collect();
    prop_assert_eq!(kinds, meant);
    Ok(())
}

/// We read what somebody else wrote.
fn we_read(plan: &Plan, bytes: &[u8]) -> Result<(), TestCaseError> {
    is_as_meant(plan, ours::read(bytes))?;
    let own = ours::write(plan);
    for meaning in &plan.attributes {
        prop_assert!(
            ours::understands(bytes, meaning, &own),
            "{:?} in {:02x?}",
            meaning,
            bytes
        );
    }
    if let Some(seal) = &plan.seal {
        prop_assert!(ours::is_signed(bytes, &seal.key()));
    }
    Ok(())
}

/// Not signed with a key that differs in one bit.
fn another(key: Key) -> Key {
    match key {
        Key::Md5(mut key) => {
            key[15] ^= 1;
            Key::Md5(key)
        }
        Key::Sha256(mut key) => {
            key[31] ^= 1;
            Key::Sha256(key)
        }
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn webrtc_rs_reads_what_we_write(plan in plan()) {
        let bytes = ours::write(&plan);
        is_as_meant(&plan, webrtc_rs::read(&bytes))?;
        for meaning in &plan.attributes {
            if let Some(read) = webrtc_rs::meaning(&bytes, meaning) {
                prop_assert_eq!(&read, meaning);
            }
        }
        if let Some(seal) = plan.seal.filter(|seal| seal.hash == Hash::Sha1) {
            prop_assert!(webrtc_rs::is_signed(&bytes, &seal.key()));
            prop_assert!(!webrtc_rs::is_signed(&bytes, &another(seal.key())));
        }
    }

    #[test]
    fn rice_reads_what_we_write(plan in plan()) {
        let bytes = ours::write(&plan);
        is_as_meant(&plan, rice::read(&bytes))?;
        for meaning in &plan.attributes {
            if let Some(read) = rice::meaning(&bytes, meaning) {
                prop_assert_eq!(&read, meaning);
            }
        }
        if let Some(seal) = plan.seal {
            prop_assert!(rice::is_signed(&bytes, &seal));
            prop_assert!(!ours::is_signed(&bytes, &another(seal.key())));
        }
    }

    #[test]
    fn we_read_what_webrtc_rs_writes(plan in plan()) {
        if let Some(bytes) = webrtc_rs::write(&plan) {
            we_read(&plan, &bytes)?;
        }
    }

    #[test]
    fn we_read_what_rice_writes(plan in plan()) {
        we_read(&plan, &rice::write(&plan))?;
    }

    /// Without a reason phrase there is only one way to write a message.
    #[test]
    fn we_write_the_very_bytes_that_rice_writes(plan in plan()) {
        let has_reason = |meaning: &crate::attribute::Meaning| {
            use crate::attribute::Meaning::{AddressError, Error};
            matches!(meaning, Error(_) | AddressError(..))
        };
        if !plan.attributes.iter().any(has_reason) {
            prop_assert_eq!(ours::write(&plan), rice::write(&plan));
        }
    }

    /// Keys made from user, realm and password (RFC 8489 section 18.5.1), by either algorithm.
    #[test]
    fn long_term_keys_are_the_same(
        plan in plan(), user in "\\PC{1,30}", realm in "\\PC{1,30}", password in "\\PC{0,30}",
    ) {
        let credentials = LongTermKeyCredentials::new(user.clone(), password.clone(), realm.clone());
        let credentials = MessageIntegrityCredentials::from(credentials);
        let parts = (user.as_bytes(), realm.as_bytes(), password.as_bytes());
        for (key, hash, algorithm) in [
            (PasswordAlgorithm::Md5.key(parts.0, parts.1, parts.2), Hash::Sha1, IntegrityAlgorithm::Sha1),
            (PasswordAlgorithm::Sha256.key(parts.0, parts.1, parts.2), Hash::Sha256, IntegrityAlgorithm::Sha256),
        ] {
            let bytes = ours::write_signed(&plan, key, hash);
            let message = Message::from_bytes(&bytes).expect("a message");
            let checked = message.validate_integrity_with_key(&credentials.make_key(algorithm));
            prop_assert_eq!(checked.ok(), Some(algorithm));
        }
    }
}
