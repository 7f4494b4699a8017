//! A headless WebRTC peer: data channel and media end to end, with a verdict as JSON.
#![forbid(unsafe_code)]

pub mod config;
pub mod media;
pub mod negotiation;
pub mod report;
pub mod verify;
