//! Where somebody comes from, as far as limits go.

/// Those who share limits. Which bits stand for whom the driver decides; here they are only compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Source(pub u128);
