//! Random numbers for moments at which something is killed.

/// Small, seeded, and good enough to be unpredictable: xorshift64.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// Seeded by `FLEETLOG_SEED` or the clock; prints the seed.
    #[must_use]
    pub fn seeded() -> Self {
        let now = fleetlog_protocol::stamp::wall_now();
        let seed = std::env::var("FLEETLOG_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or(now) | 1;
        eprintln!("FLEETLOG_SEED={seed}");
        Self(seed)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
