//! Broken messages are accepted or refused alike, but for the [differences](crate::differences) that have a reason.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use stun_turn_proto::attribute::decode_xor_address;
use stun_turn_proto::integrity::Hash;
use stun_turn_proto::message::TransactionId;

use crate::differences::{self, Difference};
use crate::mutation::{Mutation, mutations};
use crate::ours::XOR_ADDRESSES;
use crate::plan::{Plan, Reading, Seal, plan};
use crate::{config, ours, rice, webrtc_rs};

/// A message on the wire, and what it was signed with.
fn message() -> impl Strategy<Value = (Plan, Vec<u8>)> {
    (plan(), any::<bool>(), mutations()).prop_map(|(plan, by_rice, mutations)| {
        let mut bytes = if by_rice {
            rice::write(&plan)
        } else {
            ours::write(&plan)
        };
        mutations
            .iter()
            .for_each(|mutation: &Mutation| mutation.apply(&mut bytes));
        (plan, bytes)
    })
}

/// The verdicts of ours and another codec are the same, or there is a reason.
fn agree<T: PartialEq + std::fmt::Debug>(
    ours: &T,
    theirs: &T,
    reason: Option<Difference>,
) -> Result<Option<Difference>, TestCaseError> {
    if ours == theirs {
        return Ok(None);
    }
    prop_assert!(
        reason.is_some(),
        "no reason for a difference: ours {:?}, theirs {:?}",
        ours,
        theirs
    );
    Ok(reason)
}

/// Whoever accepts what we accept must read it as we do; what we refuse others may accept for a reason.
fn readings_agree(
    ours: &Option<Reading>,
    theirs: &Option<Reading>,
    accepted: impl FnOnce() -> Option<Difference>,
    read: impl FnOnce() -> Option<Difference>,
) -> Result<Option<Difference>, TestCaseError> {
    match (ours, theirs) {
        (Some(_), None) => Err(TestCaseError::fail("we alone accept it")),
        (Some(_), Some(_)) => agree(ours, theirs, read()),
        (None, _) => agree(&false, &theirs.is_some(), accepted()),
    }
}

/// All three about one message; returns the differences that were met.
fn compare(plan: &Plan, bytes: &[u8]) -> Result<Vec<Difference>, TestCaseError> {
    let [own, by_webrtc_rs, by_rice] =
        [ours::read(bytes), webrtc_rs::read(bytes), rice::read(bytes)];
    let strangers = || {
        differences::has_strangers_behind_integrity(bytes).then_some(Difference::BehindIntegrity)
    };
    let mut met = vec![
        readings_agree(
            &own,
            &by_webrtc_rs,
            || differences::accepted_by_webrtc_rs(bytes),
            || differences::read_by_webrtc_rs(bytes),
        )?,
        readings_agree(
            &own,
            &by_rice,
            || differences::accepted_by_rice(bytes),
            strangers,
        )?,
    ];
    if let Some(own) = own {
        for seal in plan.seal.iter().flat_map(either_hash) {
            let is_signed = ours::is_signed(bytes, &seal.key());
            let sha1 = webrtc_rs::is_signed(bytes, &seal.key());
            met.push(agree(
                &is_signed,
                &sha1,
                differences::judged_by_webrtc_rs(bytes),
            )?);
            met.push(agree(
                &is_signed,
                &rice::is_signed(bytes, &seal),
                strangers(),
            )?);
        }
        for (kind, value) in first_addresses(&own) {
            let address = decode_xor_address(value, TransactionId(own.transaction));
            let reason = differences::address_by_webrtc_rs(bytes, kind);
            met.push(agree(
                &address,
                &webrtc_rs::xor_address(bytes, kind),
                reason,
            )?);
            met.push(agree(&address, &rice::xor_address(bytes, kind), None)?);
        }
    }
    Ok(met.into_iter().flatten().collect())
}

/// The key under either hash: what decides is the attribute in the message, not what the reader expects.
fn either_hash(seal: &Seal) -> [Seal; 2] {
    [Hash::Sha1, Hash::Sha256].map(|hash| Seal {
        hash,
        ..seal.clone()
    })
}

fn first_addresses(reading: &Reading) -> impl Iterator<Item = (u16, &[u8])> {
    XOR_ADDRESSES.into_iter().filter_map(|wanted| {
        let found = reading.attributes.iter().find(|(kind, _)| *kind == wanted);
        found.map(|(_, value)| (wanted, value.as_slice()))
    })
}

#[test]
fn broken_messages_are_judged_alike() {
    let mut runner = TestRunner::new(config());
    let tally = std::cell::RefCell::new(BTreeMap::new());
    let outcome = runner.run(&message(), |(plan, bytes)| {
        let met = compare(&plan, &bytes)?;
        for difference in met {
            *tally
                .borrow_mut()
                .entry(format!("{difference:?}"))
                .or_insert(0) += 1;
        }
        let accepted = if ours::read(&bytes).is_some() {
            "accepted"
        } else {
            "refused"
        };
        *tally.borrow_mut().entry(accepted.to_owned()).or_insert(0) += 1;
        Ok(())
    });
    println!("{:#?}", tally.borrow());
    if let Err(error) = outcome {
        panic!("{error}\n{runner}");
    }
    // Both verdicts were well exercised: a test that refuses everything shows nothing.
    let tally = tally.borrow();
    for verdict in ["accepted", "refused"] {
        let count = tally.get(verdict).copied().unwrap_or(0);
        assert!(count * 5 > config().cases, "{verdict} {count} times only");
    }
}
