//! What a decoded frame looks like: brightness only.

/// The luma plane of a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    width: usize,
    height: usize,
    stride: usize,
    luma: Vec<u8>,
}

impl Picture {
    /// Takes a plane whose rows begin every `stride` bytes; `None` when it is too small for its size.
    #[must_use]
    pub fn new(width: usize, height: usize, stride: usize, luma: Vec<u8>) -> Option<Self> {
        let needed = stride.checked_mul(height)?;
        (width > 0 && height > 0 && stride >= width && luma.len() >= needed).then_some(Self {
            width,
            height,
            stride,
            luma,
        })
    }

    /// Width in pixels.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    #[must_use]
    pub fn height(&self) -> usize {
        self.height
    }

    /// Mean brightness of the area between two corners, each given as a share (0 to 1) of width and
    /// height: the same area whatever the picture was scaled to.
    #[must_use]
    pub fn mean(&self, (left, top): (f32, f32), (right, bottom): (f32, f32)) -> f32 {
        let range = |from: f32, to: f32, size: usize| {
            let from = ((from * size as f32) as usize).min(size - 1);
            let to = ((to * size as f32) as usize).clamp(from + 1, size);
            from..to
        };
        let (mut sum, mut count) = (0_u64, 0_u64);
        for y in range(top, bottom, self.height) {
            for x in range(left, right, self.width) {
                sum += u64::from(self.luma[y * self.stride + x]);
                count += 1;
            }
        }
        sum as f32 / count as f32
    }

    /// How much brightness differs over the picture: the standard deviation, 0 when it is uniform.
    #[must_use]
    pub fn contrast(&self) -> f32 {
        let mean = f64::from(self.mean((0.0, 0.0), (1.0, 1.0)));
        let mut sum = 0.0;
        for row in self.luma.chunks(self.stride).take(self.height) {
            sum += row[..self.width]
                .iter()
                .map(|&y| (f64::from(y) - mean).powi(2))
                .sum::<f64>();
        }
        (sum / (self.width * self.height) as f64).sqrt() as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plane_that_is_too_small_is_refused() {
        assert!(Picture::new(16, 16, 16, vec![0; 256]).is_some());
        assert!(Picture::new(16, 16, 16, vec![0; 255]).is_none());
        assert!(Picture::new(16, 16, 15, vec![0; 256]).is_none());
        assert!(Picture::new(0, 16, 16, vec![0; 256]).is_none());
        assert!(Picture::new(2, usize::MAX, usize::MAX, vec![]).is_none());
    }

    #[test]
    fn mean_and_contrast_leave_the_padding_out() {
        // Two pixels wide, rows of four bytes.
        let luma = vec![10, 20, 255, 255, 30, 40, 255, 255];
        let picture = Picture::new(2, 2, 4, luma).expect("sound plane");
        assert_eq!(picture.mean((0.0, 0.0), (1.0, 1.0)), 25.0);
        assert_eq!(picture.mean((0.5, 0.0), (1.0, 1.0)), 30.0);
        assert!((picture.contrast() - 11.18).abs() < 0.01);
        let uniform = Picture::new(2, 2, 2, vec![7; 4]).expect("sound plane");
        assert_eq!(uniform.contrast(), 0.0);
    }
}
