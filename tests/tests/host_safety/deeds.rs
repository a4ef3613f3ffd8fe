//! Descriptors, limits, signals and stacks.

use super::{fixture, nothing_is_harmed_or_lost};

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
    a_host_whose_threads_have_tiny_stacks_lives: "tiny stacks",
}
