//! All cases: a file for each group, named as the table at the end of a run names it.
//!
//! Ids follow the project's list of threats: P parsing, M authentication, A allocations, C permissions and channels,
//! D peers, F floods. From 50 on they are rules of the RFCs that no attack has made famous yet.

mod abuse;
mod allocate;
mod authentication;
mod data;
mod parsing;
mod permissions_channels;
mod policy;
mod streams;
mod timers;

use crate::case::Case;

/// The cases of a file.
pub(crate) struct Group {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) cases: Vec<Case>,
}

/// All groups in the order of the report.
pub(crate) fn groups() -> Vec<Group> {
    let group = |name, about, cases| Group { name, about, cases };
    vec![
        group(
            "parsing",
            "what is STUN, and what is dropped",
            parsing::cases(),
        ),
        group(
            "authentication",
            "long-term credentials of RFC 8489",
            authentication::cases(),
        ),
        group("allocate", "Allocate and Refresh", allocate::cases()),
        group(
            "permissions_channels",
            "CreatePermission and ChannelBind",
            permissions_channels::cases(),
        ),
        group("data", "what is relayed, and what is not", data::cases()),
        group("policy", "which peers nobody may reach", policy::cases()),
        group("streams", "TCP and TLS", streams::cases()),
        group("timers", "what runs out, in real time", timers::cases()),
        group("abuse", "floods, reflection, leaks", abuse::cases()),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::groups;

    #[test]
    fn every_id_is_there_once() {
        let mut seen = HashSet::new();
        for case in groups().into_iter().flat_map(|group| group.cases) {
            assert!(seen.insert(case.id.clone()), "{} twice", case.id);
        }
        // Source addresses have ten bits for the case, and a case runs over three carriers at most.
        assert!(seen.len() * 3 < 1024);
    }
}
