//! A program that logs, in every way that a test wants to see.
//!
//! `workload storm ...` forks workers that log numbered records. Each record names its `source`
//! (worker and thread) and its number `n`, which is what the judge looks at.

mod arguments;
mod chorus;
mod closures;
mod ends;
mod exec;
mod forkstorm;
mod host;
mod hostile;
mod level;
mod listener_chain;
mod listener_program;
mod listener_steady;
mod lone;
mod pressure;
mod records;
mod scribble;
mod setup;
mod signals;
mod storm;

use arguments::Arguments;

fn main() {
    let mut arguments = Arguments::of_process();
    let scenario = arguments.scenario();
    match scenario.as_str() {
        "storm" => storm::run(&storm::Storm::from(&mut arguments)),
        "steady" => listener_steady::run(&listener_steady::Steady::from(&mut arguments)),
        "chain" => listener_chain::run(&listener_chain::Chain::from(&mut arguments)),
        "program" => listener_program::run(&mut arguments),
        "chorus" => chorus::run(&chorus::Chorus::from(&mut arguments)),
        "closures" => closures::run(&mut arguments),
        "ends" => ends::run(&ends::Ends::from(&mut arguments)),
        "exec" => exec::run(&mut arguments),
        "forkstorm" => forkstorm::run(&forkstorm::ForkStorm::from(&mut arguments)),
        "host" => host::run(&host::Host::from(&mut arguments)),
        "hostfleet" => host::fleet::run(&mut arguments),
        "hostile" => hostile::run(&mut arguments),
        "level" => level::run(&level::Level::from(&mut arguments)),
        "lone" => lone::run(&lone::Lone::from(&mut arguments)),
        "pressure" => pressure::run(&pressure::Pressure::from(&mut arguments)),
        "records" => records::run(&mut arguments),
        "scribble" => scribble::run(&mut arguments),
        "signals" => signals::run(&mut arguments),
        other => panic!("no scenario `{other}`"),
    }
    arguments.demand_empty();
}
