//! Calls through NAT routers of every kind, and through what happens to networks in the middle of a call.
//!
//! The pure half says what there is and what must come of it: routers and their rules ([`router`]), addresses ([`lines`]),
//! expectations ([`expect`]), events ([`event`]), silences ([`silence`]), verdicts ([`results`]) and
//! [`tables`]. The drivers make
//! it happen: namespaces ([`lab`]), names ([`names`]), servers ([`servers`]), clients ([`demo`], [`page`]), questions to routers ([`probe`]), and
//! runs of all of them ([`run`]).
#![forbid(unsafe_code)]

pub mod demo;
pub mod event;
pub mod expect;
pub mod lab;
pub mod lines;
pub mod names;
pub mod page;
pub mod probe;
pub mod results;
pub mod router;
pub mod run;
pub mod servers;
pub mod silence;
pub mod tables;
