//! What makes received data, sound and picture count as verified: pure.

use std::time::Duration;

use crate::media::picture::Picture;
use crate::media::tone::{WINDOW, mean_square, tone_share};
use crate::media::{pattern, vp8};

/// Share of a window's energy from which it counts as the tone.
const TONE_SHARE: f32 = 0.7;
/// Mean square from which a window counts as sound: -50 dB of full scale.
const SOUND_ENERGY: f32 = 1e-5;
/// Windows (100 ms each) that must have been decoded.
const MIN_WINDOWS: u32 = 10;
/// Share of the windows that must be the tone, in percent: the first ones hold the start, lost packets cost some.
const MIN_TONE_PERCENT: u32 = 80;
/// Steps of the frame counter that must have been right.
const MIN_COUNTER_STEPS: u32 = 10;
/// Key frames of an unknown picture that must have been decoded.
const MIN_PICTURES: u32 = 2;
/// Contrast from which a picture is not uniform.
const MIN_CONTRAST: f32 = 2.0;

/// What is known about a stream before it is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Our own test media: exactly this must arrive.
    TestMedia,
    /// A browser's or a file's: it must decode, go on and be more than silence or one colour.
    Anything,
}

/// Judges sound.
#[derive(Debug, Clone)]
pub struct AudioCheck {
    expect: Expect,
    window: Vec<f32>,
    windows: u32,
    tone_windows: u32,
    sound_windows: u32,
    broken: u32,
}

impl AudioCheck {
    /// Nothing heard yet.
    #[must_use]
    pub fn new(expect: Expect) -> Self {
        Self {
            expect,
            window: Vec::with_capacity(WINDOW),
            windows: 0,
            tone_windows: 0,
            sound_windows: 0,
            broken: 0,
        }
    }

    /// Takes decoded samples, 48 kHz mono.
    pub fn push(&mut self, mut samples: &[f32]) {
        while !samples.is_empty() {
            let take = samples.len().min(WINDOW - self.window.len());
            let (now, later) = samples.split_at(take);
            self.window.extend_from_slice(now);
            samples = later;
            if self.window.len() == WINDOW {
                self.windows += 1;
                self.tone_windows += u32::from(tone_share(&self.window) >= TONE_SHARE);
                self.sound_windows += u32::from(mean_square(&self.window) >= SOUND_ENERGY);
                self.window.clear();
            }
        }
    }

    /// A packet could not be decoded.
    pub fn push_broken(&mut self) {
        self.broken += 1;
    }

    /// What is missing; `None` when the sound is verified.
    #[must_use]
    pub fn missing(&self) -> Option<String> {
        let seconds = self.windows as f32 / 10.0;
        if self.windows < MIN_WINDOWS {
            let broken = self.broken;
            return Some(format!(
                "only {seconds:.1} s of sound decoded, {broken} packets were broken"
            ));
        }
        match self.expect {
            Expect::TestMedia if self.tone_windows * 100 < self.windows * MIN_TONE_PERCENT => {
                let tone = self.tone_windows as f32 / 10.0;
                Some(format!("only {tone:.1} of {seconds:.1} s are the tone"))
            }
            Expect::Anything if self.sound_windows == 0 => {
                Some(format!("{seconds:.1} s decoded, all of it silence"))
            }
            Expect::TestMedia | Expect::Anything => None,
        }
    }
}

/// Judges pictures.
#[derive(Debug, Clone)]
pub struct VideoCheck {
    expect: Expect,
    /// RTP timestamp and counter of the newest picture.
    last: Option<(u32, Option<u16>)>,
    pictures: u32,
    /// Steps of the counter that were as long as the RTP timestamps say.
    right_steps: u32,
    wrong_steps: u32,
    with_contrast: u32,
    broken: u32,
}

impl VideoCheck {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(expect: Expect) -> Self {
        Self {
            expect,
            last: None,
            pictures: 0,
            right_steps: 0,
            wrong_steps: 0,
            with_contrast: 0,
            broken: 0,
        }
    }

    /// Takes a decoded picture and its RTP timestamp. One that is not newer than the one before is left out.
    pub fn push(&mut self, timestamp: u32, picture: &Picture) {
        let newer = |last: u32| timestamp.wrapping_sub(last).cast_signed() > 0;
        if self.last.is_some_and(|(last, _)| !newer(last)) {
            return;
        }
        self.pictures += 1;
        // Every pixel is looked at, so only where the result counts: the test picture has its own proof.
        if self.expect == Expect::Anything {
            self.with_contrast += u32::from(picture.contrast() >= MIN_CONTRAST);
            self.last = Some((timestamp, None));
            return;
        }
        let counter = pattern::read(picture);
        if let Some((last, last_counter)) = self.last {
            let ticks = timestamp.wrapping_sub(last);
            let per_frame = vp8::CLOCK_RATE / pattern::FRAMES_PER_SECOND;
            let right = match (last_counter, counter) {
                (Some(from), Some(to)) => u32::from(to.wrapping_sub(from)) * per_frame == ticks,
                _ => false,
            };
            self.right_steps += u32::from(right);
            self.wrong_steps += u32::from(!right);
        }
        self.last = Some((timestamp, counter));
    }

    /// A frame could not be decoded.
    pub fn push_broken(&mut self) {
        self.broken += 1;
    }

    /// What is missing; `None` when the picture is verified.
    #[must_use]
    pub fn missing(&self) -> Option<String> {
        let Self {
            pictures, broken, ..
        } = self;
        match self.expect {
            Expect::TestMedia if self.wrong_steps > 0 => Some(format!(
                "the frame counter was wrong or unreadable {} times in {pictures} pictures",
                self.wrong_steps
            )),
            Expect::TestMedia if self.right_steps < MIN_COUNTER_STEPS => Some(format!(
                "only {pictures} pictures decoded, {broken} were broken"
            )),
            Expect::Anything if self.pictures < MIN_PICTURES => Some(format!(
                "only {pictures} key frames decoded, {broken} were broken"
            )),
            Expect::Anything if self.with_contrast == 0 => {
                Some(format!("all of {pictures} pictures are one colour"))
            }
            Expect::TestMedia | Expect::Anything => None,
        }
    }
}

/// Judges the echo of numbered messages.
#[derive(Debug, Clone, Default)]
pub struct EchoCheck {
    /// When each was sent, in order: number 1 first.
    sent: Vec<Duration>,
    echoed: u32,
    out_of_order: Option<(u32, u32)>,
    total_rtt: Duration,
}

impl EchoCheck {
    /// Notes that the next message is sent at `now` (from any fixed moment) and returns its number.
    pub fn ping(&mut self, now: Duration) -> u32 {
        self.sent.push(now);
        self.sent()
    }

    /// The echo of message `number` has arrived at `now`.
    pub fn pong(&mut self, number: u32, now: Duration) {
        let expected = self.echoed + 1;
        let sent_at = usize::try_from(number)
            .ok()
            .and_then(|number| self.sent.get(number.checked_sub(1)?));
        match sent_at {
            Some(&sent_at) if number == expected => {
                self.echoed += 1;
                self.total_rtt += now.saturating_sub(sent_at);
            }
            _ => self.out_of_order = self.out_of_order.or(Some((expected, number))),
        }
    }

    /// Messages sent.
    #[must_use]
    pub fn sent(&self) -> u32 {
        u32::try_from(self.sent.len()).unwrap_or(u32::MAX)
    }

    /// Messages that came back in order.
    #[must_use]
    pub fn echoed(&self) -> u32 {
        self.echoed
    }

    /// Mean time between a message and its echo.
    #[must_use]
    pub fn mean_rtt(&self) -> Option<Duration> {
        (self.echoed > 0).then(|| self.total_rtt / self.echoed)
    }

    /// What is missing when `wanted` messages were to be sent; `None` when all came back in order.
    #[must_use]
    pub fn missing(&self, wanted: u32) -> Option<String> {
        if let Some((expected, number)) = self.out_of_order {
            return Some(format!("echo {number} arrived where {expected} was due"));
        }
        let (sent, echoed) = (self.sent(), self.echoed);
        (sent < wanted || echoed < sent)
            .then(|| format!("{echoed} of {sent} messages came back, {wanted} were planned"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::tone::Tone;

    fn tone(seconds: usize) -> Vec<f32> {
        let mut samples = vec![0.0; 48_000 * seconds];
        Tone::default().fill(&mut samples);
        samples
    }

    fn painted(counter: u16) -> Picture {
        let frame =
            vp8::encode_key_frame(&pattern::paint(counter), pattern::WIDTH, pattern::HEIGHT)
                .expect("encodes");
        vp8::decode_key_frame(&frame).expect("decodes")
    }

    #[test]
    fn a_second_of_tone_is_verified_in_pieces_of_any_size() {
        let mut check = AudioCheck::new(Expect::TestMedia);
        assert!(check.missing().is_some());
        for piece in tone(1).chunks(777) {
            assert!(check.missing().is_some());
            check.push(piece);
        }
        assert_eq!(check.missing(), None);
    }

    #[test]
    fn silence_is_no_sound_and_a_voice_is_not_the_tone() {
        let mut silence = AudioCheck::new(Expect::Anything);
        silence.push(&[0.0; 96_000]);
        assert!(silence.missing().expect("not verified").contains("silence"));
        // A sawtooth of 100 Hz: loud, and not the tone.
        let voice: Vec<f32> = (0..96_000).map(|n| (n % 480) as f32 / 960.0).collect();
        let mut expected_tone = AudioCheck::new(Expect::TestMedia);
        expected_tone.push(&voice);
        assert!(
            expected_tone
                .missing()
                .expect("not verified")
                .contains("tone")
        );
        let mut anything = AudioCheck::new(Expect::Anything);
        anything.push(&voice);
        assert_eq!(anything.missing(), None);
    }

    #[test]
    fn the_counter_must_advance_as_the_timestamps_say() {
        let step = 6_000_u32;
        let mut check = VideoCheck::new(Expect::TestMedia);
        // Over the end of both counters, with one frame lost on the way.
        let start = u32::MAX - 3 * step;
        for n in (0..12_u16).filter(|n| *n != 5) {
            assert!(check.missing().is_some());
            let timestamp = start.wrapping_add(u32::from(n) * step);
            check.push(timestamp, &painted(n.wrapping_add(u16::MAX - 2)));
        }
        assert_eq!(check.missing(), None);
        // An old picture changes nothing, a frozen one does.
        check.push(start, &painted(999));
        assert_eq!(check.missing(), None);
        check.push(start.wrapping_add(12 * step), &painted(8));
        assert!(check.missing().expect("frozen").contains("counter"));
    }

    #[test]
    fn any_picture_must_go_on_and_be_more_than_one_colour() {
        let mut check = VideoCheck::new(Expect::Anything);
        check.push(0, &painted(1));
        check.push(0, &painted(1));
        assert!(check.missing().is_some(), "the same frame twice");
        check.push(90_000, &painted(1));
        assert_eq!(check.missing(), None);
        let grey = Picture::new(16, 16, 16, vec![128; 256]).expect("sound plane");
        let mut check = VideoCheck::new(Expect::Anything);
        check.push(0, &grey);
        check.push(90_000, &grey);
        assert!(check.missing().expect("uniform").contains("one colour"));
    }

    #[test]
    fn echoes_must_all_come_and_in_order() {
        let at = Duration::from_millis;
        let mut check = EchoCheck::default();
        assert_eq!((check.ping(at(0)), check.ping(at(10))), (1, 2));
        check.pong(1, at(30));
        assert!(check.missing(2).expect("one is missing").contains("1 of 2"));
        check.pong(2, at(20));
        assert_eq!(check.missing(2), None);
        assert_eq!(check.mean_rtt(), Some(at(20)));
        assert!(check.missing(3).is_some(), "not all were sent");
        for wrong in [0, 2, 4, u32::MAX] {
            let mut check = check.clone();
            check.pong(wrong, at(40));
            assert!(check.missing(2).is_some(), "echo {wrong}");
        }
    }
}
