//! The test picture: a frame counter that survives lossy coding and scaling, over colour bars.
//!
//! 320×240. The upper quarter is 16 equal blocks side by side, the frame counter in binary, highest bit on
//! the left: white is 1, black is 0. Below are eight equal vertical bars, 75 % white, yellow, cyan, green,
//! magenta, red, blue, black, from left to right: whoever finds both has seen this picture and no other.

use super::picture::Picture;

/// Width in pixels.
pub const WIDTH: usize = 320;
/// Height in pixels.
pub const HEIGHT: usize = 240;
/// Frames per second.
pub const FRAMES_PER_SECOND: u32 = 15;
/// Blocks of the counter, one bit each.
const BITS: usize = 16;
/// Share of the height that the counter takes.
const COUNTER_HEIGHT: f32 = 0.25;
/// Brightness from which a block is a 1, and up to which it is a 0 (black is 16, white 235).
const ONE_FROM: f32 = 160.0;
const ZERO_TO: f32 = 90.0;
/// The bars, left to right, and their brightness after BT.601.
const BARS: [([u8; 3], f32); 8] = [
    ([191, 191, 191], 180.0),
    ([191, 191, 0], 162.0),
    ([0, 191, 191], 131.0),
    ([0, 191, 0], 112.0),
    ([191, 0, 191], 84.0),
    ([191, 0, 0], 65.0),
    ([0, 0, 191], 35.0),
    ([0, 0, 0], 16.0),
];
/// How far a bar's brightness may be off.
const BAR_TOLERANCE: f32 = 14.0;

/// Paints frame `counter` as RGB, row by row.
#[must_use]
pub fn paint(counter: u16) -> Vec<u8> {
    let mut counter_row = Vec::with_capacity(WIDTH * 3);
    let mut bar_row = Vec::with_capacity(WIDTH * 3);
    for x in 0..WIDTH {
        let bit = counter >> (BITS - 1 - x * BITS / WIDTH) & 1;
        counter_row.extend([if bit == 1 { 255 } else { 0 }; 3]);
        bar_row.extend(BARS[x * BARS.len() / WIDTH].0);
    }
    let counter_rows = (HEIGHT as f32 * COUNTER_HEIGHT) as usize;
    let mut rgb = counter_row.repeat(counter_rows);
    rgb.extend(bar_row.repeat(HEIGHT - counter_rows));
    rgb
}

/// Reads the counter; `None` when this is not the test picture or a block is neither black nor white.
#[must_use]
pub fn read(picture: &Picture) -> Option<u16> {
    // The middle of each area: coding blurs the edges.
    let middle = |index: usize, of: usize, top: f32, bottom: f32| {
        let (index, of) = (index as f32, of as f32);
        let quarter = (bottom - top) / 4.0;
        picture.mean(
            ((index + 0.25) / of, top + quarter),
            ((index + 0.75) / of, bottom - quarter),
        )
    };
    let bars_match = BARS.iter().enumerate().all(|(index, (_, expected))| {
        (middle(index, BARS.len(), COUNTER_HEIGHT, 1.0) - expected).abs() <= BAR_TOLERANCE
    });
    if !bars_match {
        return None;
    }
    (0..BITS).try_fold(0_u16, |counter, index| {
        let bit = match middle(index, BITS, 0.0, COUNTER_HEIGHT) {
            luma if luma >= ONE_FROM => 1,
            luma if luma <= ZERO_TO => 0,
            _ => return None,
        };
        Some(counter << 1 | bit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::vp8;

    fn through_vp8(counter: u16) -> Picture {
        let frame = vp8::encode_key_frame(&paint(counter), WIDTH, HEIGHT).expect("encodes");
        vp8::decode_key_frame(&frame).expect("decodes")
    }

    #[test]
    fn the_counter_survives_vp8() {
        for counter in [0, 1, 2, 0x5555, 0xaaaa, 0x1234, 0x8000, u16::MAX] {
            assert_eq!(read(&through_vp8(counter)), Some(counter), "{counter:#06x}");
        }
    }

    #[test]
    fn the_counter_survives_scaling() {
        let picture = through_vp8(0xbeef);
        for (width, height) in [(160, 120), (640, 480), (200, 90)] {
            let mut luma = Vec::new();
            for y in 0..height {
                for x in 0..width {
                    let at =
                        |n: usize, of: usize| (n as f32 / of as f32, (n as f32 + 1.0) / of as f32);
                    let ((left, right), (top, bottom)) = (at(x, width), at(y, height));
                    luma.push(picture.mean((left, top), (right, bottom)) as u8);
                }
            }
            let scaled = Picture::new(width, height, width, luma).expect("sound plane");
            assert_eq!(read(&scaled), Some(0xbeef), "{width}x{height}");
        }
    }

    #[test]
    fn other_pictures_have_no_counter() {
        for luma in [0, 16, 128, 235] {
            let uniform = Picture::new(64, 64, 64, vec![luma; 64 * 64]).expect("sound plane");
            assert_eq!(read(&uniform), None);
        }
        let mut upside_down = paint(7);
        upside_down.reverse();
        let frame = vp8::encode_key_frame(&upside_down, WIDTH, HEIGHT).expect("encodes");
        assert_eq!(read(&vp8::decode_key_frame(&frame).expect("decodes")), None);
    }
}
