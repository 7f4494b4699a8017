//! The stage for end-to-end tests: real processes on free ports, real browsers, logs that are kept.
//!
//! A test is a function that gets a [`Stage`](stage::Stage), starts what it needs on it and says what must come true:
//!
//! ```no_run
//! use tests::stage;
//!
//! stage::run(async |stage| {
//!     let service = stage.signaling(&[]).await?;
//!     let ann = stage.browser("ann").await?;
//!     ann.enter(&service.room("tea", "ann", "")).await?;
//!     ann.peers(0).await?;
//!     Ok(())
//! });
//! ```
#![forbid(unsafe_code)]

pub mod axe;
pub mod browser;
pub mod check;
pub mod coturn;
pub mod guard;
pub mod line;
pub mod network;
pub mod page;
pub mod picture;
pub mod poll;
pub mod process;
pub mod programs;
pub mod report;
pub mod stage;
pub mod stun;
