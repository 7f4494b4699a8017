//! What a video shows, seen from afar: the mean colours of a grid, and the test picture of `peer-demo` in it.

use anyhow::{Context as _, ensure};
use serde_json::Value;

/// Columns of the grid, one for each block of the frame counter.
pub const COLUMNS: usize = 16;
/// Rows of the grid; the frame counter fills the upper three.
pub const ROWS: usize = 12;

/// Rows in the middle of the frame counter and in the middle of the colour bars.
const COUNTER_ROW: usize = 1;
const BARS_ROW: usize = 7;
/// The bars, left to right, two columns each.
const BARS: [[f64; 3]; 8] = [
    [191.0, 191.0, 191.0],
    [191.0, 191.0, 0.0],
    [0.0, 191.0, 191.0],
    [0.0, 191.0, 0.0],
    [191.0, 0.0, 191.0],
    [191.0, 0.0, 0.0],
    [0.0, 0.0, 191.0],
    [0.0, 0.0, 0.0],
];
/// How far each colour may be off after coding: at half the distance it would be another bar.
const BAR_TOLERANCE: f64 = 45.0;
/// Brightness from which a block of the counter is a 1, and up to which it is a 0.
const ONE_FROM: f64 = 170.0;
const ZERO_TO: f64 = 85.0;

/// Mean colours, row by row.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture(Vec<[f64; 3]>);

impl Picture {
    /// Takes what the script in `page.rs` returns: three numbers a cell.
    ///
    /// # Errors
    /// When that is no grid.
    pub fn from_json(value: &Value) -> anyhow::Result<Self> {
        let numbers: Option<Vec<f64>> = value
            .as_array()
            .and_then(|all| all.iter().map(Value::as_f64).collect());
        let numbers = numbers.context("the colours are no list of numbers")?;
        ensure!(
            numbers.len() == COLUMNS * ROWS * 3,
            "{} numbers are no grid",
            numbers.len()
        );
        let (cells, _) = numbers.as_chunks();
        Ok(Self(cells.to_vec()))
    }

    /// Mean brightness, 0 to 255.
    #[must_use]
    pub fn brightness(&self) -> f64 {
        self.0.iter().flatten().sum::<f64>() / (self.0.len() * 3) as f64
    }

    /// The largest difference of a colour in a cell, 0 to 255.
    #[must_use]
    pub fn difference(&self, other: &Self) -> f64 {
        let pairs = self.0.as_flattened().iter().zip(other.0.as_flattened());
        pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    }

    /// The frame counter of `peer-demo`'s test picture; the colour bars below it must be right as well.
    ///
    /// # Errors
    /// When this is another picture.
    pub fn frame_counter(&self) -> anyhow::Result<u16> {
        let row = |row: usize| &self.0[row * COLUMNS..][..COLUMNS];
        for (column, colour) in row(BARS_ROW).iter().enumerate() {
            let expected = BARS[column / 2];
            let far = |(is, should): (&f64, &f64)| (is - should).abs() > BAR_TOLERANCE;
            ensure!(
                !colour.iter().zip(&expected).any(far),
                "the colour bar at column {column} is {colour:?}, not {expected:?}"
            );
        }
        let mut counter = 0;
        for (column, colour) in row(COUNTER_ROW).iter().enumerate() {
            let brightness = colour.iter().sum::<f64>() / 3.0;
            let (is_one, is_zero) = (brightness >= ONE_FROM, brightness <= ZERO_TO);
            ensure!(
                is_one || is_zero,
                "bit {column} of the counter is {colour:?}"
            );
            counter = counter << 1 | u16::from(is_one);
        }
        Ok(counter)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn test_picture(counter: u16) -> Vec<f64> {
        let mut numbers = Vec::new();
        for row in 0..ROWS {
            for (column, shift) in (0..COLUMNS).zip((0..16).rev()) {
                let bit = [f64::from(255 * (counter >> shift & 1)); 3];
                numbers.extend(if row < 3 { bit } else { BARS[column / 2] });
            }
        }
        numbers
    }

    fn picture(numbers: &[f64]) -> Picture {
        Picture::from_json(&json!(numbers)).expect("a grid")
    }

    #[test]
    fn the_test_picture_is_known_by_its_bars() {
        for counter in [0, 1, 0x8000, 0xbeef, u16::MAX] {
            let mut numbers = test_picture(counter);
            assert_eq!(picture(&numbers).frame_counter().ok(), Some(counter));
            numbers.reverse();
            assert!(picture(&numbers).frame_counter().is_err());
        }
        assert!(picture(&[0.0; 576]).frame_counter().is_err());
    }

    #[test]
    fn pictures_differ_by_their_most_different_cell() {
        let (one, other) = (picture(&test_picture(2)), picture(&test_picture(3)));
        assert!(one.difference(&other) > 250.0);
        assert!(one.difference(&one) < 1e-9);
        assert!(picture(&[0.0; 576]).brightness() < 1e-9);
    }
}
