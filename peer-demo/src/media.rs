//! Media without camera or microphone: what is sent, and how received media is decoded.

pub mod file;
pub mod opus;
pub mod pattern;
pub mod picture;
pub mod rtp_stats;
pub mod source;
pub mod tone;
pub mod vp8;
