//! A headless WebRTC peer: data channel and media end to end, with a verdict as JSON.
