//! The command line.

use crate::peer::Peer;

pub(crate) const HELP: &str = "\
usage: bench [--quick] [--workers N] [--records N] [--rounds N] [--bursts N] [--only PEER]...
  --quick      a few seconds: shows that the program works, its figures mean nothing
  --workers N  forked processes (4)
  --records N  records of each of them in a throughput trial (250000)
  --rounds N   how often every peer has its turn (5)
  --bursts N   bursts of 100 records of each worker in a trial of single calls (2000);
               0 leaves those trials out
  --only PEER  append, appender or fleetlog; for profiles";

/// What is measured.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) quick: bool,
    pub(crate) workers: u32,
    pub(crate) records: u32,
    pub(crate) rounds: u32,
    pub(crate) bursts: u32,
    pub(crate) peers: Vec<Peer>,
}

impl Options {
    pub(crate) fn parse(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let words: Vec<String> = words.collect();
        let mut options = if words.iter().any(|word| word == "--quick") {
            Self { quick: true, workers: 4, records: 2000, rounds: 1, bursts: 20, peers: vec![] }
        } else {
            let (records, bursts) = (250_000, 2000);
            Self { quick: false, workers: 4, records, rounds: 5, bursts, peers: vec![] }
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--quick" => {}
                "--workers" => options.workers = number(word, words.next(), 1)?,
                "--records" => options.records = number(word, words.next(), 1)?,
                "--rounds" => options.rounds = number(word, words.next(), 1)?,
                "--bursts" => options.bursts = number(word, words.next(), 0)?,
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
        Ok(options)
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
