//! The harness of the whole-system tests.
//!
//! A test makes a [`Fixture`] (a folder of its own with a run directory), starts listeners and
//! workloads in it as real processes, kills what it wants to see dead, and lets the [`judge`]
//! read every line. Everything that a fixture started is killed by pid when it is dropped. A
//! failure prints the folder's content.

pub mod browser;
pub mod chapters;
pub mod disk;
pub mod fixture;
pub mod judge;
pub mod programs;
pub mod random;
pub mod raw;
pub mod steady;
pub mod usage;
pub mod wait;

pub use browser::Browser;
pub use disk::Disk;
pub use fixture::{Fixture, ListenerUnderTest, Program};
pub use judge::Verdict;
pub use random::Random;
pub use steady::Steady;
pub use usage::Usage;
