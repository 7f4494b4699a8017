//! Where somebody comes from, as far as limits go.

/// What counts are kept by: a source, or a network around some. Which bits stand for whom the driver
/// decides; here they are only compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    /// How many of the bits count, so that a network and a source in it differ.
    pub prefix: u8,
    /// The bits.
    pub bits: u128,
}

/// Those who share limits, and the networks around them, whose sources share a multiple of the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    own: Key,
    around: [Option<(Key, u32)>; 2],
}

impl Source {
    /// A source without networks around it, such as an IPv4 address.
    #[must_use]
    pub const fn alone(bits: u128) -> Self {
        let own = Key { prefix: 128, bits };
        Self {
            own,
            around: [None; 2],
        }
    }

    /// A source within networks, from the narrow one to the wide one, each with its multiple. Those beyond
    /// two are left out.
    #[must_use]
    pub fn within(bits: u128, networks: impl IntoIterator<Item = (Key, u32)>) -> Self {
        let mut networks = networks.into_iter();
        Self {
            around: [networks.next(), networks.next()],
            ..Self::alone(bits)
        }
    }

    /// The source itself.
    #[must_use]
    pub const fn own(self) -> Key {
        self.own
    }

    /// The widest network around it.
    #[must_use]
    pub fn widest(self) -> Option<Key> {
        let mut networks = self.around.into_iter().flatten();
        networks.next_back().map(|(key, _)| key)
    }

    /// Everything that its limits are counted for, from the narrow to the wide, with the multiple of the
    /// limits: the source itself, then the networks.
    pub fn shares(self) -> impl Iterator<Item = (Key, u32)> {
        let networks = self.around.into_iter().flatten();
        std::iter::once((self.own, 1)).chain(networks)
    }
}
