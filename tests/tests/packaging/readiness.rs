//! What a service manager hears, and when.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use fleetlog_tests::raw::{Raw, Said};
use fleetlog_tests::wait::GENEROUS;
use fleetlog_tests::{Disk, Fixture, binaries, judge, wait};
use nix::sys::signal::Signal;

use crate::manager::{Manager, Service, count};

/// Short, so that many pings fit into a test; still many rounds of the drain.
const SILENCE: Duration = Duration::from_millis(400);

/// No ping for so long, on whatever machine, is no delay.
const LONG: Duration = Duration::from_secs(3);

#[test]
fn ready_is_said_once_when_workers_can_attach_and_stopping_before_the_end() {
    let fixture = Fixture::new(binaries!());
    let manager = Manager::new(&fixture);
    for stop_by_signal in [true, false] {
        let mut listener = Service::new(&fixture).start();
        let heard = manager.await_line("READY=1");
        assert_eq!(heard.len(), 1, "the first word: {heard:?}");
        assert!(heard[0].contains("\nSTATUS=draining the fleet of "), "{heard:?}");
        // Without another look at the listener: it said that this works.
        let mut worker = Raw::worker(&fixture.run_dir(), 7, "early");
        assert!(matches!(worker.hear(), Said::Welcome(_)), "a worker can attach");
        drop(worker);
        fixture.workload(["storm", "--workers", "2", "--records", "200"]).succeed();
        if stop_by_signal {
            listener.signal(Signal::SIGTERM);
        } else {
            fixture.command(["stop"]).succeed();
        }
        assert_eq!(listener.code(), 0, "{}", listener.output());
        let heard = manager.listen_for(Duration::from_millis(200));
        assert_eq!(count(&heard, "STOPPING=1"), 1, "{heard:?}");
        assert_eq!(count(&heard, "READY=1"), 0, "{heard:?}");
        assert_eq!(count(&heard, "WATCHDOG=1"), 0, "nobody watches: {heard:?}");
        judge::judge(&fixture.log()).demand_exact(2, 200);
        fs::remove_file(fixture.log()).expect("the log");
    }
}

#[test]
fn a_listener_that_can_not_start_is_never_ready() {
    let fixture = Fixture::new(binaries!());
    let manager = Manager::new(&fixture);
    let mut first = fixture.listener().start();
    let mut second = Service::new(&fixture).start();
    assert_eq!(second.code(), 3, "{}", second.output());
    first.program.signal(Signal::SIGTERM);
    assert_eq!(first.program.code(), 0);
    let nowhere = fixture.path().join("notify/apps.log");
    let nowhere = nowhere.to_str().expect("UTF-8");
    let mut third = Service::new(&fixture).arguments(["listen", "--file", nowhere]).start();
    assert_eq!(third.code(), 1, "{}", third.output());
    let heard = manager.listen_for(Duration::from_millis(200));
    assert!(heard.is_empty(), "{heard:?}");
}

#[test]
fn only_the_main_process_speaks_and_what_it_starts_is_silent() {
    let fixture = Fixture::new(binaries!());
    let manager = Manager::new(&fixture);
    // A listener that some other service's process started has inherited its environment.
    let mut child = Service::new(&fixture).variable("SYSTEMD_EXEC_PID", "1").start();
    wait::until("the listener answers", || fixture.command(["status"]).code() == 0);
    child.signal(Signal::SIGTERM);
    assert_eq!(child.code(), 0, "{}", child.output());
    let log = fixture.log().into_os_string().into_string().expect("UTF-8");
    Service::new(&fixture).arguments(["run", "--file", &log, "--", "true"]).start().succeed();
    let heard = manager.listen_for(Duration::from_millis(200));
    assert!(heard.is_empty(), "{heard:?}");
    let mut main = Service::new(&fixture).variable("SYSTEMD_EXEC_PID", "$$").start();
    manager.await_line("READY=1");
    main.signal(Signal::SIGTERM);
    assert_eq!(main.code(), 0, "{}", main.output());
}

#[test]
fn the_watchdog_is_fed_while_nobody_logs_and_not_while_the_drain_stands_still() {
    let fixture = Fixture::new(binaries!());
    let manager = Manager::new(&fixture);
    let mut listener = Service::new(&fixture).watchdog(SILENCE).start();
    manager.await_line("READY=1");
    let began = Instant::now();
    for _ in 0..10 {
        manager.await_line("WATCHDOG=1");
    }
    // Twice as often as needed, and not in a spin.
    let took = began.elapsed();
    assert!(took > 3 * SILENCE, "10 pings in {took:?}");
    // An idle drain wakes up for other reasons too, but not ten times in ten times this.
    assert!(took < 50 * SILENCE, "10 pings in {took:?}");
    listener.signal(Signal::SIGSTOP);
    // What was sent before the stop is not the drain's any more.
    manager.listen_for(Duration::from_millis(100));
    let heard = manager.listen_for(LONG);
    assert!(heard.is_empty(), "a process that stands still says nothing: {heard:?}");
    listener.signal(Signal::SIGCONT);
    manager.await_line("WATCHDOG=1");
    listener.signal(Signal::SIGTERM);
    assert_eq!(listener.code(), 0, "{}", listener.output());
}

/// The process lives and its other threads run: only a watchdog that the drain itself feeds tells.
#[test]
fn the_watchdog_is_not_fed_while_the_drain_hangs_in_a_write() {
    let fixture = Fixture::new(binaries!());
    let manager = Manager::new(&fixture);
    let pipe = fixture.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    // Who opens both ends waits for nobody.
    let mut reader = File::options().read(true).write(true).open(&pipe).expect("the pipe");
    let name = pipe.to_str().expect("UTF-8");
    let arguments = ["listen", "--format", "json", "--file", name];
    let mut listener = Service::new(&fixture).arguments(arguments).watchdog(SILENCE).start();
    manager.await_line("WATCHDOG=1");
    // More than a pipe holds; the workers are done when it is in their lanes.
    fixture.workload(["storm", "--workers", "4", "--records", "500"]).succeed();
    manager.listen_for(LONG);
    let heard = manager.listen_for(LONG);
    assert!(heard.is_empty(), "a drain that hangs says nothing: {heard:?}");
    assert!(listener.is_running());
    let drinker = std::thread::spawn(move || {
        let mut bytes = [0; 65536];
        let mut last = 0;
        while last != b'!' {
            let len = reader.read(&mut bytes).expect("the pipe");
            last = bytes[..len].last().copied().unwrap_or_default();
        }
    });
    manager.await_line("WATCHDOG=1");
    listener.signal(Signal::SIGTERM);
    assert_eq!(listener.code(), 0, "{}", listener.output());
    File::options().write(true).open(&pipe).expect("the pipe").write_all(b"!").expect("its end");
    drinker.join().expect("the reader");
}

#[test]
fn a_drain_that_a_full_disk_pauses_is_alive_and_says_what_keeps_it() {
    let fixture = Fixture::new(binaries!());
    let Some(disk) = Disk::mount(&fixture.path().join("disk"), "256k") else { return };
    let manager = Manager::new(&fixture);
    let log = disk.path().join("apps.log").into_os_string().into_string().expect("UTF-8");
    let arguments = ["listen", "--format", "json", "--file", &log];
    let mut listener = Service::new(&fixture).arguments(arguments).watchdog(SILENCE).start();
    manager.await_line("READY=1");
    let storm = fixture.workload(["storm", "--workers", "4", "--records", "3000"]);
    manager.await_line("STATUS=paused, because a sink fails: ");
    for _ in 0..10 {
        manager.await_line("WATCHDOG=1");
    }
    disk.grow("64m");
    manager.await_line("STATUS=draining the fleet of ");
    storm.succeed();
    listener.signal(Signal::SIGTERM);
    assert_eq!(listener.code(), 0, "{}", listener.output());
    judge::judge(disk.path().join("apps.log").as_path()).demand_exact(4, 3000);
}

#[test]
fn a_service_manager_that_does_not_read_holds_up_nobody() {
    let fixture = Fixture::new(binaries!());
    let manager = Manager::new(&fixture);
    let mut listener = Service::new(&fixture).watchdog(Duration::from_millis(2)).start();
    wait::until("the listener complains that nobody reads", || {
        assert!(listener.is_running(), "{}", listener.output());
        listener.output().contains("the service manager does not take a message")
    });
    fixture.workload(["storm", "--workers", "2", "--records", "2000"]).succeed();
    fixture.command(["stop"]).succeed();
    assert_eq!(listener.code(), 0, "{}", listener.output());
    judge::judge(&fixture.log()).demand_exact(2, 2000);
    assert!(manager.hear(GENEROUS).is_some(), "it was there all the time");
}
