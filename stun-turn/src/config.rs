//! What an operator may set.

/// The options as typed; `signaling` offers the same under the prefix `--turn-`.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Address to listen on: udp:ADDR:PORT or tcp:ADDR:PORT, IPv6 in brackets (repeatable)
    #[arg(long, value_name = "PROTO:ADDR:PORT")]
    pub listen: Vec<String>,
    /// Secret of the TURN REST convention; the first one mints, all verify (repeatable)
    #[arg(long, value_name = "SECRET")]
    pub auth_secret: Vec<String>,
}

/// Validated options.
#[derive(Debug, Clone)]
pub struct Config {}

impl TryFrom<Options> for Config {
    type Error = String;
    fn try_from(_options: Options) -> Result<Self, String> {
        Ok(Self {})
    }
}
