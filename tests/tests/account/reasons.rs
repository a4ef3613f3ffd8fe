//! Every reason of the code's own list is provoked, and everybody who gives an account tells the same.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use fleetlog_protocol::message::{DropReason, Drops, Gap, Loss};
use fleetlog_protocol::stamp;
use fleetlog_tests::raw::{self, Raw};
use fleetlog_tests::{Fixture, ListenerUnderTest, programs};
use nix::sys::signal::Signal;

use crate::views::Scene;

/// A user that nobody is.
const STRANGER: u32 = 54_322;

/// Lets a record be lost for this reason, as its sender would: a new reason does not compile without
/// a way here. `None` = this machine lacks what it takes.
fn provoke(loss: Loss, fixture: &Fixture, listener: &ListenerUnderTest) -> Option<()> {
    match loss {
        Loss::Dropped(reason) => dropped(reason, fixture, listener),
        Loss::Missing => {
            let mut worker = worker(fixture);
            worker.send(&raw::record(4, stamp::now(), 1, "1/1", 0));
            worker.await_ack(4);
        }
        Loss::Unreadable => {
            let mut worker = worker(fixture);
            worker.send(&raw::unreadable(1, stamp::now()));
            worker.await_ack(1);
        }
        Loss::CutOff => foreign(fixture, b"\0\0\0\x05aaaaaand more that nobody reads"),
        Loss::Torn => foreign(fixture, b"\0\0\x01\0(dp0\nS'msg'"),
        Loss::TurnedAway => return turned_away(fixture),
        Loss::PutAside => drop(fixture.workload(["scribble", "--how", "lengths"]).succeed()),
        Loss::Incredible => {
            let mut worker = worker(fixture);
            worker.send(&raw::record(u64::MAX, stamp::now(), 1, "1/1", 0));
            worker.await_refusal();
        }
        Loss::Refused => {
            let sender = UnixDatagram::unbound().expect("a socket");
            let address = fixture.run_dir().join("dgram");
            sender.send_to(b"\0\0\0\x05aaaaa", address).expect("a listener");
        }
    }
    Some(())
}

fn dropped(reason: DropReason, fixture: &Fixture, listener: &ListenerUnderTest) {
    match reason {
        // Its listener is stopped, and it waits for nobody.
        DropReason::Full => {
            listener.program.signal(Signal::SIGSTOP);
            let (name, folder) = (["--name", "busy"], fixture.path().to_str().expect("UTF-8"));
            for step in ["go", "finish"] {
                fs::write(fixture.path().join(step), "").expect("a step");
            }
            let how = ["pressure", "--records", "20000", "--stall", "0", "--warm", "false"];
            let how = how.into_iter().chain(["--sync", "false", "--folder", folder]).chain(name);
            fixture.workload(how).wait();
            listener.program.signal(Signal::SIGCONT);
        }
        // What a worker says that it counted when there was no listener, or in a signal handler.
        DropReason::NoListener | DropReason::Reentrant => {
            let mut worker = worker(fixture);
            let mut drops = Drops::default();
            drops.0[reason as usize] = 5;
            worker.send(&raw::gap(Gap { seq: 5, stamp: stamp::now(), first_seq: 1, drops }));
            worker.await_ack(5);
        }
        DropReason::RateLimited => {
            let lines: String = (0..200).map(|n| format!("{{\"msg\":\"{n}\"}}\n")).collect();
            foreign(fixture, lines.as_bytes());
        }
    }
}

fn worker(fixture: &Fixture) -> Raw {
    let mut worker = Raw::worker(&fixture.run_dir(), 7, "by hand");
    worker.send(&raw::callsite(1, "raw", &[]));
    worker
}

/// A client of another protocol that sends something and is gone.
fn foreign(fixture: &Fixture, bytes: &[u8]) {
    let mut stream = UnixStream::connect(fixture.run_dir().join("socket")).expect("a listener");
    // Who is cut off may hear of it before it has sent everything.
    let _ = stream.write_all(bytes);
}

/// A client whose user may not log.
fn turned_away(fixture: &Fixture) -> Option<()> {
    if !nix::unistd::geteuid().is_root() {
        return programs::missing("another user", "run this as root");
    }
    // A program that every user may execute, unlike a Python of root's own.
    let logger = programs::find("logger")?;
    fs::set_permissions(fixture.path(), fs::Permissions::from_mode(0o711)).expect("its owner");
    let mut command = Command::new(logger);
    command.arg("-u").arg(fixture.run_dir().join("socket")).args(["--rfc5424", "hello"]);
    command.uid(STRANGER).gid(STRANGER).current_dir("/");
    fixture.start("stranger", command).wait();
    Some(())
}

#[test]
fn whatever_the_reason_everybody_who_gives_an_account_tells_the_same() {
    for loss in Loss::ALL {
        let scene = Scene::begin(&["--rate-limit-burst", "10", "--allow-uid", "0"]);
        if provoke(loss, &scene.fixture, &scene.listener).is_none() {
            continue;
        }
        scene.demand_that_all_tell(&[loss]);
    }
}

#[test]
fn several_reasons_at_once_stand_beside_each_other_everywhere() {
    let scene = Scene::begin(&["--rate-limit-burst", "10"]);
    let together =
        [Loss::Missing, Loss::CutOff, Loss::Torn, Loss::Dropped(DropReason::RateLimited)];
    for loss in together {
        provoke(loss, &scene.fixture, &scene.listener).expect("nothing is lacking");
    }
    scene.demand_that_all_tell(&together);
}

#[test]
fn whoever_lost_nothing_hears_that_nothing_was_lost() {
    let scene = Scene::begin(&[]);
    foreign(&scene.fixture, b"{\"msg\":\"hello\"}\n");
    scene.demand_that_nothing_was_lost();
}

#[test]
fn many_clients_that_are_cut_off_are_all_counted_in_few_lines() {
    let scene = Scene::begin(&[]);
    for _ in 0..300 {
        foreign(&scene.fixture, b"\0\0\0\x05aaaaa");
    }
    let told = scene.demand_that_all_tell(&[Loss::CutOff]);
    assert_eq!(told[&Loss::CutOff], 300);
}
