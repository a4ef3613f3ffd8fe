//! The command line.

use crate::peer::Peer;

pub(crate) const HELP: &str = "\
usage: bench [--quick] [--workers N] [--records N] [--rounds N] [--bursts N] [--only PEER]...
             [--births] [--growth] [--isolation] [--packing] [--protocols] [--memory]
             [--followers] [--stalls] [--all]
             [--no-main] [--processes N] [--fleet N]
  --quick        a few seconds: shows that the program works, its figures mean nothing
  --workers N    forked processes (4)
  --records N    records of each of them in a throughput trial (250000)
  --rounds N     how often every peer has its turn (5)
  --bursts N     bursts of 100 records of each worker in a trial of single calls (2000);
                 0 leaves those trials out
  --only PEER    append, appender, rsyslog, s6-log, socket, lanes or floor; for profiles
more tables, of append and fleetlog or of fleetlog alone:
  --births       processes that are forked, log one record and exit
  --growth       a few busy threads beside thousands that logged once and stay
  --isolation    single calls beside a worker that logs as fast as it can
  --packing      single calls while an old file of 1 GB is compressed
  --protocols    what foreign clients send, taken by fleetlog and by rsyslog
  --memory       the listener's memory and the lanes' files
  --followers    throughput while others follow the log: three that run, fifty that are stopped
  --stalls       the longest call of 400 threads while the listener is stopped, or stutters
  --all          these eight
  --no-main      leaves the tables of throughput and of single calls out
  --processes N  processes of a trial of births (2000)
  --fleet N      workers of the large fleet whose memory is looked at (500)";

/// A table that is printed for whoever asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extra {
    Births,
    Growth,
    Isolation,
    Packing,
    Protocols,
    Memory,
    Followers,
    Stalls,
}

impl Extra {
    const ALL: [Self; 8] = [
        Self::Births,
        Self::Growth,
        Self::Isolation,
        Self::Packing,
        Self::Protocols,
        Self::Memory,
        Self::Followers,
        Self::Stalls,
    ];
}

/// What is measured.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) quick: bool,
    /// Whether throughput and single calls are measured.
    pub(crate) main: bool,
    pub(crate) extras: Vec<Extra>,
    pub(crate) workers: u32,
    pub(crate) records: u32,
    pub(crate) rounds: u32,
    pub(crate) bursts: u32,
    /// Processes of a trial of births.
    pub(crate) births: u32,
    /// Processes, and threads of each, that idle in a trial of growth.
    pub(crate) idle: (u32, u32),
    /// Threads of a trial of stalls, and records of each.
    pub(crate) stalls: (u32, u32),
    /// Workers of the large fleet.
    pub(crate) fleet: u32,
    /// Bytes of the old file that is compressed.
    pub(crate) packed: u64,
    pub(crate) peers: Vec<Peer>,
    /// Peers that this machine has no program for.
    pub(crate) missing: Vec<Peer>,
}

impl Options {
    pub(crate) fn parse(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let words: Vec<String> = words.collect();
        let quick = words.iter().any(|word| word == "--quick");
        let mut options = if quick { Self::quick() } else { Self::full() };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--quick" => {}
                "--no-main" => options.main = false,
                "--births" => options.extras.push(Extra::Births),
                "--growth" => options.extras.push(Extra::Growth),
                "--isolation" => options.extras.push(Extra::Isolation),
                "--packing" => options.extras.push(Extra::Packing),
                "--protocols" => options.extras.push(Extra::Protocols),
                "--memory" => options.extras.push(Extra::Memory),
                "--followers" => options.extras.push(Extra::Followers),
                "--stalls" => options.extras.push(Extra::Stalls),
                "--all" => options.extras.extend(Extra::ALL),
                "--workers" => options.workers = number(word, words.next(), 1)?,
                "--records" => options.records = number(word, words.next(), 1)?,
                "--rounds" => options.rounds = number(word, words.next(), 1)?,
                "--bursts" => options.bursts = number(word, words.next(), 0)?,
                "--processes" => options.births = number(word, words.next(), 1)?,
                "--fleet" => options.fleet = number(word, words.next(), 1)?,
                "--only" => {
                    let name = words.next().map_or("", String::as_str);
                    let peer = Peer::of_flag(name).ok_or(format!("no peer `{name}`"))?;
                    options.peers.push(peer);
                }
                other => return Err(format!("unknown argument `{other}`")),
            }
        }
        if options.peers.is_empty() {
            options.peers = Peer::ALL.to_vec();
        }
        let is_missing = |peer: &Peer| peer.missing_program().is_some();
        options.missing = options.peers.iter().copied().filter(is_missing).collect();
        options.peers.retain(|peer| !is_missing(peer));
        Ok(options)
    }

    const fn full() -> Self {
        Self {
            quick: false,
            main: true,
            extras: Vec::new(),
            workers: 4,
            records: 250_000,
            rounds: 5,
            bursts: 2000,
            births: 2000,
            // With the four busy ones 4,096 threads log, which is the number that is promised.
            idle: (66, 62),
            // The rest of what is logged beside a full window or a full lane is not little.
            stalls: (400, 500),
            fleet: 500,
            packed: 1 << 30,
            peers: Vec::new(),
            missing: Vec::new(),
        }
    }

    fn quick() -> Self {
        Self {
            quick: true,
            records: 2000,
            rounds: 1,
            bursts: 20,
            births: 30,
            idle: (3, 5),
            stalls: (400, 200),
            fleet: 10,
            packed: 64 << 20,
            ..Self::full()
        }
    }

    pub(crate) fn wants(&self, extra: Extra) -> bool {
        self.extras.contains(&extra)
    }

    /// Those of the peers that are fleetlog.
    pub(crate) fn fleetlog(&self) -> impl Iterator<Item = Peer> {
        self.peers.iter().copied().filter(|peer| peer.is_fleetlog())
    }

    /// The numbers of workers whose single calls are timed: alone, and all of them.
    pub(crate) fn call_workers(&self) -> impl Iterator<Item = u32> + use<> {
        let all = (self.workers > 1).then_some(self.workers);
        let wanted = self.bursts > 0;
        std::iter::once(1).chain(all).filter(move |_| wanted)
    }
}

fn number(flag: &str, value: Option<&String>, least: u32) -> Result<u32, String> {
    let value = value.ok_or(format!("{flag} needs a number"))?;
    match value.parse() {
        Ok(number) if number >= least => Ok(number),
        _ => Err(format!("{flag} {value}: expected a number from {least} on")),
    }
}
