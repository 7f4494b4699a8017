//! Our codec against two that other people wrote: `stun` with `turn` (webrtc-rs) and `stun-types` with `turn-types`
//! (librice). What one of the three writes, the others must read as it was meant; what is broken on the way must be
//! accepted or refused alike, but for the differences that [`differences`] lists with the clause that decides them.
//!
//! Each property runs [`CASES`] times, or as often as `PROPTEST_CASES` says. A failure prints the smallest message
//! that shows it and the seed.

mod attribute;
mod differences;
mod layout;
mod mutated;
mod mutation;
mod ours;
mod plan;
mod rice;
mod webrtc_rs;
mod written;

use proptest::test_runner::Config;

/// Cases of each property when nobody says otherwise.
const CASES: u32 = 10_000;

/// The configuration of all properties.
fn config() -> Config {
    let default = Config::default();
    Config {
        cases: if std::env::var_os("PROPTEST_CASES").is_some() {
            default.cases
        } else {
            CASES
        },
        // Seeds are printed; a test run changes no files.
        failure_persistence: None,
        ..default
    }
}
