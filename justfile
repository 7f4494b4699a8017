# Tasks for https://just.systems. Each calls the script that CI calls, or the command that a failed
# test names, and adds nothing to it: everything here works without `just` as well.

# Everything, as CI does it: `just` alone.
all:
    tests/run

# Format, lint, unit and page tests, one call end to end: for every change.
quick:
    tests/run quick

# Only these steps, in the order of a full run: `just step lint unit`.
step +steps:
    tests/run {{ steps }}

# What takes longer than two minutes, and is in no other step.
long:
    tests/run long

# What each step and the slowest fifty tests of the last run took.
timings:
    tests/run --timings

# As CI: a missing tool is a failure.
ci:
    .ci/run

# The same in a fresh Debian 12, of the commit that is checked out: needs root and debootstrap.
bare *command:
    tests/bare {{ command }}

# Each fuzzing target for so many seconds, or only these: needs a nightly compiler and cargo-fuzz.
fuzz seconds="60" *targets:
    tests/fuzz/run {{ seconds }} {{ targets }}

# The conformance suite against this relay and Debian's coturn: `just conformance --long`, `--update`.
conformance *options:
    tests/conformance/run {{ options }}

# Spelling of everything: needs `typos`.
spelling:
    typos

# What the tests generate: JSON Schema and the page's types, examples of the options' files.
generate:
    UPDATE_GENERATED=1 cargo test -p signaling-proto --test it schema
    cargo run -p stun-turn -- --example-config > docs/stun-turn.example.toml
    cargo run -p signaling -- --example-config > docs/signaling.example.toml
