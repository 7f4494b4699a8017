//! Short recordings: half a second of sound, three pictures.

use std::fs::File;
use std::path::Path;

use opus_pure::{OggOpusWriter, OpusHead};
use peer_demo::media::opus::{Encoder, FRAME_SAMPLES};
use peer_demo::media::pattern;
use peer_demo::media::tone::Tone;
use peer_demo::media::vp8;

pub(crate) fn write_ogg(path: &Path) {
    let file = File::create(path).expect("a new file");
    let head = OpusHead::new(1, 48_000).expect("mono");
    let mut writer = OggOpusWriter::new(file, head).expect("a header");
    let (mut tone, mut encoder) = (Tone::default(), Encoder::new().expect("an encoder"));
    let mut frame = [0.0; FRAME_SAMPLES];
    for _ in 0..25 {
        tone.fill(&mut frame);
        let packet = encoder.encode(&frame).expect("one frame");
        writer.write_packet(&packet).expect("written");
    }
    writer.finish().expect("finished");
}

pub(crate) fn write_ivf(path: &Path) {
    let mut file = b"DKIF\0\0\x20\0VP80".to_vec();
    file.extend((pattern::WIDTH as u16).to_le_bytes());
    file.extend((pattern::HEIGHT as u16).to_le_bytes());
    file.extend(pattern::FRAMES_PER_SECOND.to_le_bytes());
    file.extend(1_u32.to_le_bytes());
    file.extend(3_u32.to_le_bytes());
    file.extend([0; 4]);
    for counter in 0..3_u16 {
        let rgb = pattern::paint(counter);
        let frame = vp8::encode_key_frame(&rgb, pattern::WIDTH, pattern::HEIGHT).expect("a frame");
        file.extend((frame.len() as u32).to_le_bytes());
        file.extend(u64::from(counter).to_le_bytes());
        file.extend(&frame[..]);
    }
    std::fs::write(path, file).expect("written");
}
