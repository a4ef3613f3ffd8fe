//! Descriptors, limits, signals and stacks.

use std::fs;

use fleetlog_tests::{judge, wait};
use nix::sys::signal::Signal;

use super::{OF_CALLSITES, demand_everything, fixture, host, nothing_is_harmed_or_lost};

macro_rules! deeds {
    ($($name:ident: $deed:literal,)*) => {
        mod over_lanes {
            $(#[test] fn $name() { super::nothing_is_harmed_or_lost(&super::fixture("lanes"), $deed, &[]); })*
        }
        mod over_the_socket {
            $(#[test] fn $name() { super::nothing_is_harmed_or_lost(&super::fixture("socket"), $deed, &[]); })*
        }
    };
}

deeds! {
    a_host_that_does_nothing_is_the_measure: "nothing",
    a_host_that_closes_every_descriptor_keeps_its_files: "close_range",
    a_host_that_puts_a_file_over_every_descriptor_keeps_it: "dup2 over everything",
    a_host_that_becomes_a_daemon_twice_keeps_its_files: "daemonise twice",
    what_a_host_without_standard_streams_prints_reaches_no_lane: "without standard streams",
    a_host_with_an_alarm_each_millisecond_loses_nothing: "alarms",
    a_host_with_few_descriptors_loses_nothing: "few descriptors",
    a_host_that_may_open_no_more_loses_nothing: "no more descriptors",
    a_host_that_may_write_no_long_files_lives: "files of no size",
    a_host_with_little_memory_lives: "little memory",
    a_host_whose_threads_have_tiny_stacks_lives: "tiny stacks",
}

#[test]
fn what_a_host_without_standard_streams_prints_overwrites_no_lane_that_waits_for_a_listener() {
    let fixture = fixture("lanes");
    let mut arguments = host(&fixture, "without standard streams");
    arguments.extend(["--sync", "false", "--records", "300"].map(str::to_owned));
    fixture.workload(arguments).succeed();
    let receipt = fixture.listener().start().stop();
    assert!(receipt.is_complete() && receipt.offences == 0, "{receipt:?}\n{}", fixture.report());
    judge::judge(&fixture.log()).demand_exact(5, 300);
    assert!(receipt.written >= 5 * 300 + OF_CALLSITES, "{receipt:?}");
}

#[test]
fn a_host_that_is_stopped_and_goes_on_loses_nothing() {
    for transport in ["lanes", "socket"] {
        let fixture = fixture(transport);
        let listener = fixture.listener().start();
        let program = fixture.workload(host(&fixture, "stop"));
        let stat = format!("/proc/{}/stat", program.pid());
        wait::until("the host is stopped", || {
            fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") T "))
        });
        program.signal(Signal::SIGCONT);
        let output = program.succeed();
        demand_everything(&fixture, listener, &output);
    }
}
