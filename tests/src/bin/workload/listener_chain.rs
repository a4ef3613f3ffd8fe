//! The chain: threads of several processes pass a token round through pipes, and each logs a
//! step before it passes the token on. Every step is the cause of the next one, so the file must
//! have them in their order.

use std::fs::File;
use std::io::{Read as _, Write as _};

use nix::unistd::pipe;

use crate::arguments::Arguments;
use crate::listener_steady::{PATIENCE, fleet};

/// Who passes the token how often.
pub(crate) struct Chain {
    workers: usize,
    threads: usize,
    steps: u64,
}

impl From<&mut Arguments> for Chain {
    fn from(arguments: &mut Arguments) -> Self {
        Self {
            workers: arguments.take("workers", 2),
            threads: arguments.take("threads", 2),
            steps: arguments.take("steps", 1000),
        }
    }
}

/// One pipe between each two neighbours: (from the one before, to the one behind).
type Place = (File, File);

pub(crate) fn run(chain: &Chain) {
    let mut fleet = fleet();
    let places = chain.workers * chain.threads;
    let pipes: Vec<_> = (0..places).map(|_| pipe().expect("a pipe")).collect();
    for worker in 0..chain.workers {
        let mine: Vec<(usize, Place)> = (0..chain.threads)
            .map(|thread| {
                // Neighbours in the ring belong to different processes wherever there are two.
                let place = thread * chain.workers + worker;
                let from = pipes[place].0.try_clone().expect("a descriptor");
                let to = pipes[(place + 1) % places].1.try_clone().expect("a descriptor");
                (place, (File::from(from), File::from(to)))
            })
            .collect();
        let pass_all = || {
            std::thread::scope(|scope| {
                for (place, ends) in mine {
                    scope.spawn(move || pass(chain, place, ends));
                }
            });
            fleetlog_worker::sync(PATIENCE)
        };
        fleet.spawn(format!("link {worker}"), pass_all).expect("a fork");
    }
    File::from(pipes[0].1.try_clone().expect("a descriptor"))
        .write_all(&0_u64.to_le_bytes())
        .expect("the token");
    drop(pipes);
    let report = fleet.join().expect("all workers");
    assert!(report.is_success(), "{report:?}");
}

fn pass(chain: &Chain, place: usize, (mut from, mut to): Place) {
    let mut token = [0; 8];
    loop {
        from.read_exact(&mut token).expect("the token");
        let n = u64::from_le_bytes(token);
        if n < chain.steps {
            tracing::info!(source = "chain", n, place, "a step");
        }
        // The last round tells everybody to end.
        let next = n + 1;
        let places = (chain.workers * chain.threads) as u64;
        if next < chain.steps + places {
            to.write_all(&next.to_le_bytes()).expect("the token");
        }
        if n >= chain.steps {
            return;
        }
    }
}
