//! A sine tone, and how much of a sound is that tone.

/// Frequency of the tone in hertz. 44 whole periods fit into a [`WINDOW`], so that the Goertzel bin is exact.
pub const TONE_HZ: f32 = 440.0;
/// Samples per second of everything Opus (RFC 7587 always counts in 48 kHz).
pub const SAMPLE_RATE: u32 = 48_000;
/// Samples that are judged at once: 100 ms.
pub const WINDOW: usize = 4_800;
/// Peak of the tone, where full scale is 1: loud enough to measure, not to hurt.
const AMPLITUDE: f32 = 0.25;

/// An endless mono sine tone.
#[derive(Debug, Clone, Default)]
pub struct Tone {
    /// Position within one second, in samples: it returns to 0 where the phase does.
    position: u32,
}

impl Tone {
    /// Fills `samples` with what comes next.
    pub fn fill(&mut self, samples: &mut [f32]) {
        let step = std::f32::consts::TAU * TONE_HZ / SAMPLE_RATE as f32;
        for sample in samples {
            *sample = AMPLITUDE * (step * self.position as f32).sin();
            self.position = (self.position + 1) % SAMPLE_RATE;
        }
    }
}

/// Energy of `samples` per sample: the square of their effective value.
#[must_use]
pub fn mean_square(samples: &[f32]) -> f32 {
    samples.iter().map(|x| x * x).sum::<f32>() / samples.len().max(1) as f32
}

/// Which share of the energy in `samples` (48 kHz, mono) is the tone: 0 to 1, by Goertzel's algorithm.
///
/// Silence has none.
#[must_use]
pub fn tone_share(samples: &[f32]) -> f32 {
    let energy = f64::from(mean_square(samples)) * samples.len() as f64;
    if energy <= f64::EPSILON {
        return 0.0;
    }
    // In `f64`: the recursion sums thousands of samples.
    let coefficient =
        2.0 * (std::f64::consts::TAU * f64::from(TONE_HZ) / f64::from(SAMPLE_RATE)).cos();
    let (mut s1, mut s2) = (0.0_f64, 0.0_f64);
    for &sample in samples {
        let s0 = f64::from(sample) + coefficient * s1 - s2;
        (s2, s1) = (s1, s0);
    }
    let power = s1 * s1 + s2 * s2 - coefficient * s1 * s2;
    // A pure tone of amplitude A over n samples has power (nA/2)² and energy nA²/2.
    (power * 2.0 / samples.len() as f64 / energy) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pure_tone_is_all_tone() {
        let mut samples = vec![0.0; WINDOW];
        Tone::default().fill(&mut samples);
        assert!(
            (tone_share(&samples) - 1.0).abs() < 1e-3,
            "{}",
            tone_share(&samples)
        );
    }

    #[test]
    fn the_tone_goes_on_over_any_number_of_calls() {
        let mut whole = vec![0.0; 3 * WINDOW];
        Tone::default().fill(&mut whole);
        let mut tone = Tone::default();
        let mut parts = vec![0.0; 3 * WINDOW];
        for part in parts.chunks_mut(960) {
            tone.fill(part);
        }
        assert_eq!(whole, parts);
    }

    #[test]
    fn silence_other_tones_and_noise_are_not_the_tone() {
        assert_eq!(tone_share(&[0.0; WINDOW]), 0.0);
        assert_eq!(tone_share(&[]), 0.0);
        let other: Vec<f32> = (0..WINDOW)
            .map(|n| (std::f32::consts::TAU * 880.0 * n as f32 / SAMPLE_RATE as f32).sin())
            .collect();
        assert!(tone_share(&other) < 0.01);
        // A linear congruential generator: noise that is the same in every run.
        let mut state = 1_u32;
        let noise: Vec<f32> = (0..WINDOW)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                state as f32 / u32::MAX as f32 - 0.5
            })
            .collect();
        assert!(tone_share(&noise) < 0.05);
    }

    #[test]
    fn half_tone_half_something_else_is_half() {
        let mut samples = vec![0.0; WINDOW];
        Tone::default().fill(&mut samples);
        for (n, sample) in samples.iter_mut().enumerate() {
            *sample +=
                AMPLITUDE * (std::f32::consts::TAU * 1_000.0 * n as f32 / SAMPLE_RATE as f32).sin();
        }
        assert!((tone_share(&samples) - 0.5).abs() < 0.01);
    }
}
