//! Kinds of browsers, and of people who use them.

use std::path::Path;

use super::{Launch, chromium, firefox};

/// What a browser is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Chromium with these flags besides those that all have.
    Chromium(&'static [&'static str]),
    /// Firefox, whose user permits camera and microphone.
    Firefox,
    /// Firefox, whose user refuses both.
    RefusingFirefox,
}

impl Kind {
    /// Chromium whose user permits camera and microphone.
    pub const CHROMIUM: Self = Self::Chromium(&[chromium::PERMITTED, chromium::DEVICES]);
    /// Chromium whose user refuses camera and microphone.
    pub const REFUSING: Self = Self::Chromium(&[chromium::REFUSED, chromium::DEVICES]);
    /// Chromium that takes every certificate.
    pub const TRUSTING: Self =
        Self::Chromium(&[chromium::PERMITTED, chromium::TRUSTING, chromium::DEVICES]);
    /// Chromium on a computer without camera and microphone.
    pub const BARE: Self = Self::Chromium(&[chromium::PERMITTED]);

    /// Chromium whose camera has two pictures a second, of which many can be in a call on two cores.
    pub const CALM: Self = Self::Chromium(&[chromium::PERMITTED, chromium::CALM_DEVICES]);

    /// Chromium on a computer with several cameras.
    pub const CAMERAS: Self = Self::Chromium(&[chromium::PERMITTED, chromium::CAMERAS]);

    /// Chromium that trusts the page at [`crate::network::Networks::PAGE`].
    pub const CARRIED: Self = Self::Chromium(&[
        chromium::PERMITTED,
        chromium::TRUSTED_PAGE,
        chromium::DEVICES,
    ]);

    /// Chromium whose camera plays a film (Y4M) and whose microphone a sound (WAV).
    #[must_use]
    pub fn playing(film: &Path, sound: &Path) -> Self {
        let flags = [
            chromium::PERMITTED.to_owned(),
            "--use-fake-device-for-media-stream".to_owned(),
            format!("--use-file-for-fake-video-capture={}", film.display()),
            format!("--use-file-for-fake-audio-capture={}", sound.display()),
        ];
        // A kind is a constant elsewhere; a test makes one of these.
        let flags = flags.map(|flag| -> &'static str { flag.leak() });
        Self::Chromium(Box::leak(Box::new(flags)))
    }

    /// Whether it is one of Firefox.
    #[must_use]
    pub fn is_firefox(self) -> bool {
        matches!(self, Self::Firefox | Self::RefusingFirefox)
    }

    pub(super) fn launch(self, profile: &Path) -> anyhow::Result<Launch> {
        match self {
            Self::Chromium(flags) => chromium::launch(profile, flags),
            Self::Firefox => firefox::launch(profile, false),
            Self::RefusingFirefox => firefox::launch(profile, true),
        }
    }
}
