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
        let seed = seed.unwrap_or(now);
        eprintln!("FLEETLOG_SEED={seed}");
        Self::of(seed)
    }

    /// The numbers of one seed. For a program that a test starts: the test draws the seed, so that
    /// the one seed that it prints replays the program as well.
    #[must_use]
    pub const fn of(seed: u64) -> Self {
        // The generator never leaves zero.
        Self(seed | 1)
    }

    /// An index of a list that has `length` entries.
    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).expect("less than a usize")
    }

    /// A seed for another program.
    pub fn seed(&mut self) -> u64 {
        self.below(u64::MAX)
    }

    /// Random bytes.
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.below(256).to_le_bytes()[0]).collect()
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
