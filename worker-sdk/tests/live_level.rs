//! The live level in one program: what is laid over its filter, when, and at what cost.
//!
//! Interests of callsites belong to the whole process, so that each test runs in one of its own.

#[path = "live_level/stage.rs"]
mod stage;

use std::sync::atomic::Ordering;
use std::time::Duration;

use fleetlog_worker::{Layer, LiveFilter};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use stage::{Counting, Seen, alone, run_dir, set, set_for, threads, until};
use tracing_core::dispatcher::{Dispatch, set_global_default, with_default};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

fn debug_from_app() {
    tracing::debug!(target: "app", "a callsite that is disabled at first");
}

fn info_from_other() {
    tracing::info!(target: "other", "a callsite that is enabled at first");
}

/// A program with a filter and with something that counts what passes it.
fn subscriber<F>(builder: fleetlog_worker::Builder, filter: F, seen: &Seen) -> Dispatch
where
    F: tracing_subscriber::Layer<fleetlog_worker::Registry> + Send + Sync,
{
    let layer = builder.run_dir(run_dir()).build().expect("a layer");
    let filter = LiveFilter::new(&layer, filter);
    Dispatch::new(fleetlog_worker::registry().with(filter).with(seen.clone()).with(layer))
}

#[test]
fn a_disabled_callsite_asks_nobody_until_a_change_wakes_it_and_after_the_change_again() {
    alone(
        "a_disabled_callsite_asks_nobody_until_a_change_wakes_it_and_after_the_change_again",
        || {
            let (seen, counting) = (Seen::default(), Counting::new(LevelFilter::INFO));
            let asked = counting.asked.clone();
            set_global_default(subscriber(Layer::builder(), counting, &seen)).expect("the first");
            let demand_silence = || {
                let before = (asked.load(Ordering::SeqCst), seen.count("app"));
                (0..1000).for_each(|_| debug_from_app());
                assert_eq!((asked.load(Ordering::SeqCst), seen.count("app")), before);
                assert_eq!(
                    LevelFilter::current(),
                    LevelFilter::INFO,
                    "the first thing that is asked"
                );
            };
            debug_from_app();
            demand_silence();
            for round in 0..3 {
                set(&[("app=debug", None)]);
                // Nothing is logged meanwhile: somebody else must notice.
                until("the change has arrived", || LevelFilter::current() == LevelFilter::DEBUG);
                let before = asked.load(Ordering::SeqCst);
                until("the callsite is awake", || {
                    debug_from_app();
                    seen.count("app") > round
                });
                info_from_other();
                assert_eq!(asked.load(Ordering::SeqCst), before, "all is decided in advance");
                set(&[]);
                until("the change is over", || LevelFilter::current() == LevelFilter::INFO);
                until("the callsite sleeps", || {
                    let before = seen.count("app");
                    debug_from_app();
                    seen.count("app") == before
                });
                demand_silence();
                seen.forget("app", round + 1);
            }
        },
    );
}

#[test]
fn a_change_decides_for_what_it_names_and_the_filter_for_the_rest() {
    alone("a_change_decides_for_what_it_names_and_the_filter_for_the_rest", || {
        let seen = Seen::default();
        set_global_default(subscriber(Layer::builder(), EnvFilter::new("info"), &seen))
            .expect("ok");
        let passes = || {
            let before = (seen.count("app"), seen.count("other"));
            debug_from_app();
            info_from_other();
            (seen.count("app") > before.0, seen.count("other") > before.1)
        };
        assert_eq!(passes(), (false, true));
        for (change, expected) in [
            ("app=debug", (true, true)),
            ("other=off", (false, false)),
            ("warn", (false, false)),
            ("app=trace,warn", (true, false)),
            ("off", (false, false)),
            ("trace", (true, true)),
            ("info", (false, true)),
        ] {
            set(&[(change, None)]);
            until(change, || passes() == expected);
        }
        set(&[]);
        until("the program's own filter", || passes() == (false, true));
    });
}

#[test]
fn filters_by_span_go_on_working_beside_a_change_and_after_it() {
    alone("filters_by_span_go_on_working_beside_a_change_and_after_it", || {
        let seen = Seen::default();
        let filter = EnvFilter::new("info,[busy]=debug");
        set_global_default(subscriber(Layer::builder(), filter, &seen)).expect("ok");
        let passes = || {
            let passes = || {
                let before = seen.count("app");
                debug_from_app();
                seen.count("app") > before
            };
            let outside = passes();
            let inside = tracing::info_span!(target: "app", "busy").in_scope(passes);
            (outside, inside)
        };
        assert_eq!(passes(), (false, true));
        for (change, expected) in [
            ("other=trace", (false, true)),
            ("app=debug", (true, true)),
            ("app=info", (false, false)),
        ] {
            set(&[(change, None)]);
            until(change, || passes() == expected);
        }
        set(&[]);
        until("the program's own filter", || passes() == (false, true));
    });
}

#[test]
fn a_change_is_over_at_its_end_without_anybody() {
    alone("a_change_is_over_at_its_end_without_anybody", || {
        let seen = Seen::default();
        set_global_default(subscriber(Layer::builder(), LevelFilter::INFO, &seen)).expect("ok");
        let control = set_for("debug", Duration::from_millis(1500));
        until("the change has arrived", || LevelFilter::current() == LevelFilter::DEBUG);
        drop(control);
        until("the change is over", || LevelFilter::current() == LevelFilter::INFO);
    });
}

#[test]
fn what_is_in_force_at_the_start_counts_for_the_first_event() {
    alone("what_is_in_force_at_the_start_counts_for_the_first_event", || {
        set(&[("app=debug", None)]);
        let seen = Seen::default();
        set_global_default(subscriber(Layer::builder(), LevelFilter::INFO, &seen)).expect("ok");
        debug_from_app();
        assert_eq!(seen.count("app"), 1);
    });
}

#[test]
fn a_new_name_has_what_is_for_it_when_set_name_returns() {
    alone("a_new_name_has_what_is_for_it_when_set_name_returns", || {
        set(&[("app=debug", Some("worker 7"))]);
        let seen = Seen::default();
        let builder = Layer::builder().name("parent");
        set_global_default(subscriber(builder, LevelFilter::INFO, &seen)).expect("ok");
        debug_from_app();
        for round in 1..20 {
            fleetlog_worker::set_name("worker 8");
            debug_from_app();
            assert_eq!(seen.count("app"), round - 1);
            fleetlog_worker::set_name("worker 7");
            debug_from_app();
            assert_eq!(seen.count("app"), round);
        }
    });
}

#[test]
fn a_subscriber_of_one_thread_alone_is_changed_and_never_switched_off() {
    alone("a_subscriber_of_one_thread_alone_is_changed_and_never_switched_off", || {
        let seen = Seen::default();
        let dispatch = subscriber(Layer::builder(), LevelFilter::INFO, &seen);
        with_default(&dispatch, || {
            for round in 1..5 {
                set(&[("app=debug", None)]);
                until("the callsite is awake", || {
                    debug_from_app();
                    seen.count("app") > 0
                });
                set(&[]);
                until("the callsite sleeps", || LevelFilter::current() == LevelFilter::INFO);
                info_from_other();
                assert_eq!(seen.count("other"), round);
                seen.forget("app", 0);
            }
        });
    });
}

#[test]
fn records_of_the_log_crate_follow_a_change() {
    alone("records_of_the_log_crate_follow_a_change", || {
        fleetlog_worker::init().expect("the first");
        assert!(!log::log_enabled!(target: "app", log::Level::Debug));
        set(&[("app=debug", None)]);
        until("the change has arrived", || log::log_enabled!(target: "app", log::Level::Debug));
        assert!(!log::log_enabled!(target: "other", log::Level::Debug));
        set(&[]);
        until("it is over", || !log::log_enabled!(target: "app", log::Level::Debug));
    });
}

#[test]
fn a_program_that_forbids_the_thread_has_none_and_its_own_level() {
    alone("a_program_that_forbids_the_thread_has_none_and_its_own_level", || {
        set(&[("trace", None)]);
        let seen = Seen::default();
        let builder = Layer::builder().live_level(false);
        let dispatch = subscriber(builder, LevelFilter::INFO, &seen);
        assert_eq!(threads("fleetlog-level"), 0);
        assert_eq!(LevelFilter::current(), LevelFilter::INFO);
        with_default(&dispatch, debug_from_app);
        assert_eq!(seen.count("app"), 0);
        // Another one in the same program may have it.
        let other = subscriber(Layer::builder(), LevelFilter::INFO, &seen);
        until("the thread is there", || threads("fleetlog-level") == 1);
        drop((dispatch, other));
    });
}

#[test]
fn the_environment_forbids_the_thread_or_is_refused() {
    alone("the_environment_forbids_the_thread_or_is_refused", || {
        // SAFETY: the process of this test has no other thread that reads its environment.
        unsafe { std::env::set_var("FLEETLOG_LIVE_LEVEL", "maybe") };
        let error = fleetlog_worker::init().expect_err("no such word").to_string();
        assert!(error.contains("FLEETLOG_LIVE_LEVEL is `maybe`"), "{error}");
        // SAFETY: as above.
        unsafe { std::env::set_var("FLEETLOG_LIVE_LEVEL", "off") };
        fleetlog_worker::init().expect("the first");
        assert_eq!(threads("fleetlog-level"), 0);
    });
}

#[test]
fn garbage_is_ignored_with_a_word_and_a_change_behind_it_counts() {
    let said = alone("garbage_is_ignored_with_a_word_and_a_change_behind_it_counts", || {
        stage::garble();
        let seen = Seen::default();
        set_global_default(subscriber(Layer::builder(), LevelFilter::INFO, &seen)).expect("ok");
        assert_eq!(LevelFilter::current(), LevelFilter::INFO);
        set(&[("app=debug", None)]);
        until("the change has arrived", || LevelFilter::current() == LevelFilter::DEBUG);
    });
    if let Some(said) = said {
        assert!(said.contains("fleetlog: changes of the level are not heeded"), "{said}");
        assert_eq!(said.matches("not heeded").count(), 1, "{said}");
    }
}

#[test]
fn a_page_that_is_cut_or_removed_under_its_sleepers_kills_nobody() {
    alone("a_page_that_is_cut_or_removed_under_its_sleepers_kills_nobody", || {
        set(&[]);
        let seen = Seen::default();
        set_global_default(subscriber(Layer::builder(), LevelFilter::INFO, &seen)).expect("ok");
        until("the watcher is there", || threads("fleetlog-level") == 1);
        for spoil in [stage::cut_page, stage::remove_page] {
            spoil();
            set(&[("debug", None)]);
            until("the change has arrived", || LevelFilter::current() == LevelFilter::DEBUG);
            set(&[]);
            until("it is over", || LevelFilter::current() == LevelFilter::INFO);
        }
    });
}

#[test]
fn silent_children_and_their_children_follow_a_change() {
    alone("silent_children_and_their_children_follow_a_change", || {
        set(&[]);
        let seen = Seen::default();
        set_global_default(subscriber(Layer::builder(), LevelFilter::INFO, &seen)).expect("ok");
        debug_from_app();
        // SAFETY: the child does what this test is about, and ends by `_exit`.
        let ForkResult::Parent { child } = unsafe { fork() }.expect("a fork") else {
            // SAFETY: as above.
            let grandchild = match unsafe { fork() }.expect("a fork") {
                ForkResult::Parent { child } => Some(child),
                ForkResult::Child => None,
            };
            let arrived = stage::comes_true(|| LevelFilter::current() == LevelFilter::DEBUG);
            debug_from_app();
            let logged = seen.count("app") == 1;
            // A grandchild may inherit the change, and look before its thread has its name.
            let watched = stage::comes_true(|| threads("fleetlog-level") == 1);
            let followed = grandchild.is_none_or(|grandchild| {
                waitpid(grandchild, None) == Ok(WaitStatus::Exited(grandchild, 0))
            });
            // The code says what did not hold.
            let held = [arrived, logged, watched, followed];
            let code = held.into_iter().position(|held| !held).map_or(0, |at| 1 << at);
            // SAFETY: the process ends here.
            unsafe { nix::libc::_exit(code) }
        };
        // They are there, or not yet: both is well.
        set(&[("app=debug", None)]);
        assert_eq!(waitpid(child, None), Ok(WaitStatus::Exited(child, 0)));
    });
}

#[test]
fn a_filter_that_panics_while_it_is_asked_anew_ends_neither_the_program_nor_its_forks() {
    let name = "a_filter_that_panics_while_it_is_asked_anew_ends_neither_the_program_nor_its_forks";
    alone(name, || {
        set(&[]);
        let seen = Seen::default();
        let panics = stage::PanicsInTheWatcher.and_then(LevelFilter::INFO);
        set_global_default(subscriber(Layer::builder(), panics, &seen)).expect("ok");
        info_from_other();
        until("the watcher is there", || threads("fleetlog-level") == 1);
        set(&[("debug", None)]);
        until("the watcher is gone", || threads("fleetlog-level") == 0);
        info_from_other();
        assert_eq!(seen.count("other"), 2);
        for _ in 0..3 {
            // SAFETY: the child ends at once.
            match unsafe { fork() }.expect("a fork") {
                // SAFETY: the process ends here.
                ForkResult::Child => unsafe { nix::libc::_exit(0) },
                ForkResult::Parent { child } => {
                    assert_eq!(waitpid(child, None), Ok(WaitStatus::Exited(child, 0)));
                }
            }
        }
    });
}

#[test]
fn a_fork_waits_until_nobody_is_in_the_middle_of_a_look() {
    alone("a_fork_waits_until_nobody_is_in_the_middle_of_a_look", || {
        set(&[]);
        let seen = Seen::default();
        let locks = stage::LocksInTheWatcher.and_then(LevelFilter::INFO);
        set_global_default(subscriber(Layer::builder(), locks, &seen)).expect("ok");
        info_from_other();
        until("the watcher is there", || threads("fleetlog-level") == 1);
        for round in 0..5 {
            set(&[(["debug", "trace"][round % 2], None)]);
            until("a look is under way", || stage::INSIDE.load(Ordering::SeqCst));
            // SAFETY: the child looks at a lock and ends.
            match unsafe { fork() }.expect("a fork") {
                ForkResult::Child => {
                    let is_free = stage::LOCK.try_lock().is_ok();
                    // SAFETY: the process ends here.
                    unsafe { nix::libc::_exit(i32::from(!is_free)) }
                }
                ForkResult::Parent { child } => {
                    assert_eq!(waitpid(child, None), Ok(WaitStatus::Exited(child, 0)), "held");
                }
            }
            until("the look is over", || !stage::INSIDE.load(Ordering::SeqCst));
        }
    });
}
