//! P11: no bytes on the socket crash, stall or bloat the listener or cost another worker a
//! record; the offender is counted and named.

use std::fs;
use std::io::Read as _;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use fleetlog_protocol::frame::{Kind, PREFACE};
use fleetlog_protocol::limits::{CONNECTIONS_PER_UID_MAX, FRAME_MAX};
use fleetlog_protocol::message::{Drops, Gap, Request};
use fleetlog_protocol::record::FieldName;
use fleetlog_protocol::stamp;
use fleetlog_tests::raw::{self, Raw, Said};
use fleetlog_tests::{Fixture, ListenerUnderTest, Steady, Verdict, binaries, judge, wait};
use serde_json::Value;

/// What a flood of hostile clients may cost.
const GROWTH_MAX: u64 = 64 << 20;

/// A line of `/proc/<pid>/status`, in bytes.
fn memory(listener: &ListenerUnderTest, name: &str) -> u64 {
    let path = format!("/proc/{}/status", listener.program.pid());
    let text = fs::read_to_string(path).expect("the listener lives");
    let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("a known line");
    let number = line.trim_start_matches(':').trim().trim_end_matches(" kB");
    number.parse::<u64>().expect("a number") << 10
}

fn offences(listener: &ListenerUnderTest) -> u64 {
    let status = listener.status().expect("a status");
    status["totals"]["offences"].as_u64().expect("a number")
}

/// A record that the judge of the honest workers leaves alone.
fn hostile_record(seq: u64, stamp: u64, callsite: u32) -> Vec<u8> {
    raw::record_with(seq, stamp, callsite, |fields| {
        fields.str(FieldName::Inline("message"), "by an enemy\n2026-01-01T00:00:00Z forged");
    })
}

fn site() -> Vec<u8> {
    raw::callsite(1, "enemy", &[])
}

/// What the honest workers logged; the others are another test's business.
fn honest(log: &Path) -> Verdict {
    let mut verdict = judge::judge(log);
    verdict.notices.retain(|(_, line)| line.worker.starts_with("worker "));
    verdict
}

/// Waits until the listener has used everything that was sent: it answers, and the honest
/// workers' counts go on. It may refuse to answer while a flood holds every place of the uid.
fn settle(listener: &ListenerUnderTest) {
    let mut seen = Vec::new();
    wait::until("the honest workers go on", || {
        seen.extend(listener.status().and_then(|status| status["totals"]["written"].as_u64()));
        seen.dedup();
        seen.len() > 2
    });
}

#[test]
fn two_thousand_clients_of_garbage_cost_no_memory_and_no_record_and_are_counted() {
    let fixture = Fixture::new(binaries!());
    let listener = fixture.listener().start();
    let steady = Steady::start(&fixture, 2, 2, &[]);
    settle(&listener);
    let before = memory(&listener, "VmHWM");
    let mut held = Vec::new();
    for client in 0..2000_u32 {
        let mut raw = Raw::connect(&fixture.run_dir());
        match client % 5 {
            0 => raw.send(b"\xff\xfeG\0E\0T\0 \0/\0"),
            1 => raw.send(&raw::hello(1, 1, "half")[..12]),
            2 => raw.send(&[&PREFACE[..], &u32::MAX.to_le_bytes(), &[1]].concat()),
            3 => {
                raw.send(&raw::hello(u128::from(client) + 7, 1, "claims four gigabytes"));
                raw.send(&u32::MAX.to_le_bytes());
            }
            // Whoever says nothing may have nothing to log yet.
            _ => {}
        }
        // Every other one of each kind holds its connection open.
        if client % 10 < 5 {
            held.push(raw);
        }
        // Beyond the limit of a uid it would be another offence that is counted.
        if client % 100 == 0 {
            wait::until("those that were closed are gone", || {
                let connections = &listener.status().expect("a status")["clients"]["connections"];
                connections.as_u64().expect("a number") < held.len() as u64 + 20
            });
        }
    }
    wait::until("each offence is counted", || offences(&listener) >= 1600);
    let growth = memory(&listener, "VmHWM") - before;
    eprintln!("the listener grew by {} KiB", growth >> 10);
    assert!(growth < GROWTH_MAX, "{growth} bytes");
    let counts = steady.finish();
    let output = listener.program.output();
    assert!(output.contains(&format!("pid={}", std::process::id())), "not named: {output}");
    let receipt = listener.stop();
    assert_eq!(receipt.offences, 1600, "{receipt:?}");
    drop(held);
    honest(&fixture.log()).demand_counts(&counts);
}

/// Everything that is well-formed and wrong, each from a connection of its own.
fn enemies(run_dir: &Path, listener: &ListenerUnderTest) -> Vec<Raw> {
    let mut queue = 1000;
    let mut enemy = |name: &str, bytes: &[Vec<u8>]| {
        queue += 1;
        let mut raw = Raw::worker(run_dir, queue, name);
        raw.send(&site());
        for frame in bytes {
            if !raw.try_send(frame) {
                break;
            }
        }
        raw
    };
    let now = stamp::now();
    let long = "n".repeat(128);
    let gap =
        |seq, first_seq, drops| raw::gap(Gap { seq, stamp: now, first_seq, drops: Drops(drops) });
    let redefined: Vec<_> =
        (0..3000).map(|number| raw::callsite(1, &format!("enemy {number}"), &["a", "b"])).collect();
    let named: Vec<_> = (0..3000).map(|number| raw::name(&format!("name {number}"))).collect();
    let nameless = raw::record_with(1, now, 1, |fields| fields.u64(FieldName::Index(9), 1));
    let alive = vec![
        enemy("stamp 0", &[hostile_record(1, 0, 1)]),
        enemy("stamp max", &[hostile_record(1, u64::MAX, 1), hostile_record(2, u64::MAX, 1)]),
        enemy(
            "stamps go back",
            &(1..50).map(|seq| hostile_record(seq, now - 1_000_000 * seq, 1)).collect::<Vec<_>>(),
        ),
        enemy("seq 0", &[hostile_record(0, now, 1), hostile_record(0, now, 1)]),
        enemy("seq max", &[hostile_record(u64::MAX, now, 1), hostile_record(u64::MAX, now, 1)]),
        enemy("seq max, then 1", &[hostile_record(u64::MAX, now, 1), hostile_record(1, now, 1)]),
        enemy("unreadable", &[raw::unreadable(1, now), raw::unreadable(u64::MAX, now)]),
        enemy(
            "unreadable, far away",
            &[
                hostile_record(1, now, 1),
                raw::unreadable(u64::MAX, now),
                raw::unreadable(u64::MAX, now),
            ],
        ),
        enemy("and again", &[hostile_record(u64::MAX - 1, now, 1), raw::unreadable(u64::MAX, now)]),
        enemy("undefined", &[hostile_record(1, now, 77), hostile_record(2, now, u32::MAX)]),
        enemy("redefined", &redefined),
        enemy("renamed", &named),
        enemy("nameless field", &[nameless]),
        enemy("gap of everything", &[gap(u64::MAX, 1, [u64::MAX, 0, 0, 0])]),
        enemy(
            "goodbye, then records",
            &[
                hostile_record(1, now, 1),
                raw::goodbye(1),
                hostile_record(2, now, 1),
                raw::goodbye(0),
                hostile_record(3, now, 1),
                raw::goodbye(u64::MAX),
            ],
        ),
        enemy(&long, &[hostile_record(1, now, 1)]),
        enemy("line\nbreak\r\t\u{1b}[31m", &[hostile_record(1, now, 1)]),
        enemy("../../../../tmp/fleetlog-enemy", &[hostile_record(1, now, 1)]),
        enemy("", &[hostile_record(1, now, 1)]),
        enemy("..", &[hostile_record(1, now, 1)]),
    ];
    let cut_off = vec![
        enemy("gap of nothing", &[gap(3, 3, [0, 0, 0, 0])]),
        enemy("gap backwards", &[gap(3, 7, [1, 0, 0, 0])]),
        enemy("gap from 0", &[gap(3, 0, [4, 0, 0, 0])]),
        enemy("callsite 0", &[raw::callsite(0, "enemy", &[])]),
        enemy("callsite max", &[raw::callsite(u32::MAX, "enemy", &[])]),
        enemy("second hello", &[raw::hello(5, 1, "again")[PREFACE.len()..].to_vec()]),
        enemy("listener's words", &[raw::framed(Kind::Ack, &1_u64.to_le_bytes())]),
        enemy("request", &[raw::framed(Kind::Request, &[1])]),
        enemy("short record", &[raw::framed(Kind::Record, &[1, 2, 3])]),
        enemy("bad name", &[raw::framed(Kind::Name, &[2, 0xff, 0xfe])]),
        enemy("unknown kind", &[vec![1, 0, 0, 0, 99]]),
        enemy("empty frame", &[vec![0, 0, 0, 0]]),
        enemy(
            "long frame",
            &[u32::try_from(FRAME_MAX + 1).expect("a length").to_le_bytes().to_vec()],
        ),
    ];
    let count = cut_off.len() as u64;
    for mut raw in cut_off {
        assert!(!raw.await_refusal().is_empty(), "it is told why");
    }
    // Those of the others that were told of, too: unreadable records cost no connection.
    assert!(offences(listener) >= count);
    alive
}

#[test]
fn well_formed_nonsense_of_all_kinds_costs_no_other_worker_a_record() {
    let fixture = Fixture::new(binaries!());
    let folder = fixture.path().join("each");
    fs::create_dir(&folder).expect("a folder");
    let each = folder.join("{worker}.log");
    let listener = fixture.listener().with(["--file", each.to_str().expect("UTF-8")]).start();
    let steady = Steady::start(&fixture, 2, 2, &[]);
    settle(&listener);
    let before = memory(&listener, "VmHWM");
    let enemies = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        enemies(&fixture.run_dir(), &listener)
    }));
    let enemies = enemies.unwrap_or_else(|_| panic!("{}", listener.program.output()));
    settle(&listener);
    // Half-closed, and gone without a word.
    for (number, raw) in enemies.into_iter().enumerate() {
        if number % 2 == 0 {
            raw.stream.shutdown(Shutdown::Write).expect("a connection");
        }
    }
    settle(&listener);
    let growth = memory(&listener, "VmHWM") - before;
    assert!(growth < GROWTH_MAX, "{growth} bytes");
    let counts = steady.finish();
    drop(listener.stop());
    honest(&fixture.log()).demand_counts(&counts);
    assert!(!Path::new("/tmp/fleetlog-enemy.log").exists(), "a name left its folder");
    let inside: Vec<_> = fs::read_dir(fixture.path()).expect("the folder").flatten().collect();
    assert!(inside.iter().all(|entry| entry.file_name() != "tmp"), "a name made a folder");
}

#[test]
fn two_connections_of_one_queue_write_each_number_once() {
    let fixture = Fixture::new(binaries!());
    let listener = fixture.listener().start();
    let (mut first, mut second) =
        (Raw::worker(&fixture.run_dir(), 9, "twin"), Raw::worker(&fixture.run_dir(), 9, "twin"));
    for raw in [&mut first, &mut second] {
        raw.send(&site());
    }
    for seq in 1..=500 {
        for raw in [&mut first, &mut second] {
            raw.send(&raw::record(seq, stamp::now(), 1, "twin", seq - 1));
        }
    }
    second.await_ack(500);
    drop((first, second));
    let receipt = listener.stop();
    assert_eq!((receipt.written, receipt.doubles), (500, 500), "{receipt:?}");
    judge::judge(&fixture.log()).demand_exact(1, 500);
}

#[test]
fn an_acknowledgement_never_goes_to_another_workers_connection() {
    let fixture = Fixture::new(binaries!());
    let listener = fixture.listener().start();
    let mut first = Raw::worker(&fixture.run_dir(), 9, "twin");
    first.send(&site());
    assert_eq!(first.hear(), Said::Welcome(0));
    let mut second = Raw::worker(&fixture.run_dir(), 9, "twin");
    assert_eq!(second.hear(), Said::Welcome(0));
    drop(second);
    let connections = |wanted| {
        wait::until("the connections", || {
            listener.status().expect("a status")["clients"]["connections"].as_u64() == Some(wanted)
        });
    };
    // The command that asks is one itself.
    connections(2);
    // Whoever comes next may get the number that the second one had.
    let mut victims: Vec<_> =
        (0..4).map(|number| Raw::worker(&fixture.run_dir(), 100 + number, "victim")).collect();
    for victim in &mut victims {
        assert_eq!(victim.hear(), Said::Welcome(0));
    }
    first.send(&hostile_record(1_000_000, stamp::now(), 1));
    wait::until("the record is written", || {
        listener.status().expect("a status")["totals"]["written"].as_u64() == Some(1)
    });
    for victim in &mut victims {
        victim.send(&[site(), raw::record(1, stamp::now(), 1, "victim", 0)].concat());
        assert_eq!(victim.hear(), Said::Ack(1), "somebody else's acknowledgement");
    }
    drop(listener.stop());
}

#[test]
fn a_worker_named_like_another_file_or_folder_stalls_nobody() {
    let fixture = Fixture::new(binaries!());
    let each = fixture.path().join("{worker}");
    let twice = fixture.path().join("{worker}{worker}");
    let [each, twice] = [&each, &twice].map(|path| path.to_str().expect("UTF-8"));
    let listener = fixture.listener().with(["--file", each, "--file", twice]).start();
    let steady = Steady::start(&fixture, 2, 1, &[]);
    settle(&listener);
    // The log of all workers, the run directory, and a name that is longer than a file's may be.
    let long = "n".repeat(128);
    for (number, name) in ["apps.log", "run", long.as_str()].into_iter().enumerate() {
        let mut raw = Raw::worker(&fixture.run_dir(), 50 + number as u128, name);
        raw.send(&[site(), hostile_record(1, stamp::now(), 1)].concat());
        raw.await_ack(1);
        settle(&listener);
    }
    let counts = steady.finish();
    drop(listener.stop());
    honest(&fixture.log()).demand_counts(&counts);
}

#[test]
fn a_worker_that_renames_itself_without_end_uses_up_no_descriptors() {
    let fixture = Fixture::new(binaries!());
    let folder = fixture.path().join("each");
    let each = folder.join("{worker}.log");
    // As many descriptors as a shell gives by default.
    let listener = fixture.listener().with(["--file", each.to_str().expect("UTF-8")]).start();
    let pid = nix::libc::pid_t::try_from(listener.program.pid()).expect("a pid");
    let limit = nix::libc::rlimit { rlim_cur: 1024, rlim_max: 1024 };
    // SAFETY: both pointers are valid for the call or null.
    let set = unsafe {
        nix::libc::prlimit(pid, nix::libc::RLIMIT_NOFILE, &raw const limit, std::ptr::null_mut())
    };
    assert_eq!(set, 0);
    let steady = Steady::start(&fixture, 2, 1, &[]);
    settle(&listener);
    let mut raw = Raw::worker(&fixture.run_dir(), 9, "enemy");
    let mut bytes = site();
    for seq in 1..=3000 {
        bytes.extend(raw::name(&format!("enemy {seq}")));
        bytes.extend(hostile_record(seq, stamp::now(), 1));
    }
    raw.send(&bytes);
    raw.await_ack(3000);
    settle(&listener);
    let counts = steady.finish();
    drop(listener.stop());
    honest(&fixture.log()).demand_counts(&counts);
    assert_eq!(fs::read_dir(&folder).expect("the folder").count(), 3000 + 3);
}

#[test]
fn connections_beyond_the_limit_of_a_uid_wait_for_a_seat_and_the_others_go_on() {
    let fixture = Fixture::new(binaries!());
    let listener = fixture.listener().start();
    let steady = Steady::start(&fixture, 2, 2, &[]);
    settle(&listener);
    let worker =
        |number: usize| Raw::worker(&fixture.run_dir(), 5000 + number as u128, "one of many");
    let mut held: Vec<Raw> = (0..CONNECTIONS_PER_UID_MAX - 50).map(worker).collect();
    for raw in &mut held {
        assert_eq!(raw.hear(), Said::Welcome(0));
    }
    let beyond = CONNECTIONS_PER_UID_MAX..CONNECTIONS_PER_UID_MAX + 100;
    let mut waiting: Vec<Raw> = beyond.map(worker).collect();
    drop(held);
    for raw in &mut waiting {
        assert_eq!(raw.hear(), Said::Welcome(0));
    }
    drop(waiting);
    settle(&listener);
    assert_eq!(offences(&listener), 0);
    let counts = steady.finish();
    drop(listener.stop());
    honest(&fixture.log()).demand_counts(&counts);
}

#[test]
fn a_flood_of_connections_does_not_stall_the_drain() {
    let fixture = Fixture::new(binaries!());
    let listener = fixture.listener().start();
    let steady = Steady::start(&fixture, 2, 1, &[]);
    settle(&listener);
    let connections = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                // As many as the fleet needs to write some more, and an end for a fleet that can't.
                while connections.fetch_add(1, Ordering::Relaxed) < 100_000 {
                    drop(UnixStream::connect(fixture.run_dir().join("socket")));
                }
            });
        }
    });
    settle(&listener);
    let counts = steady.finish();
    drop(listener.stop());
    honest(&fixture.log()).demand_counts(&counts);
}

#[test]
fn commands_that_talk_without_end_or_never_read_cost_no_memory() {
    let fixture = Fixture::new(binaries!());
    let listener = fixture.listener().start();
    let steady = Steady::start(&fixture, 2, 1, &[]);
    settle(&listener);
    let before = memory(&listener, "VmHWM");
    let mut held = Vec::new();
    for bytes in [&[99][..], &[], &[3, 3], &[0xff; 400]] {
        let mut raw = Raw::connect(&fixture.run_dir());
        raw.send(&[&PREFACE[..], &raw::framed(Kind::Request, bytes)].concat());
        assert!(!raw.await_refusal().is_empty(), "it is told why");
    }
    for _ in 0..200 {
        let mut raw = Raw::connect(&fixture.run_dir());
        raw.send(&raw::request(&Request::Status));
        held.push(raw);
    }
    let mut talker = Raw::connect(&fixture.run_dir());
    talker.send(&raw::request(&Request::Status));
    let chunk = vec![b'x'; 1 << 20];
    for _ in 0..200 {
        if !talker.try_send(&chunk) {
            break;
        }
    }
    settle(&listener);
    let growth = memory(&listener, "VmHWM") - before;
    eprintln!("the listener grew by {} KiB", growth >> 10);
    assert!(growth < GROWTH_MAX, "{growth} bytes");
    // A half-closed command gets its answer or not, but does no harm.
    let mut half = Raw::connect(&fixture.run_dir());
    half.send(&raw::request(&Request::Status));
    half.stream.shutdown(Shutdown::Write).expect("a connection");
    let _ = half.stream.read_to_end(&mut Vec::new());
    let counts = steady.finish();
    drop(listener.stop());
    honest(&fixture.log()).demand_counts(&counts);
}

#[test]
fn workers_that_hoard_callsites_or_never_read_cost_no_memory() {
    let fixture = Fixture::new(binaries!());
    let listener = fixture.listener().start();
    let steady = Steady::start(&fixture, 2, 1, &[]);
    settle(&listener);
    let before = memory(&listener, "VmHWM");
    // 250 kB each.
    let text = "f".repeat(1000);
    let fields = vec![text.as_str(); 250];
    let mut hoarder = Raw::worker(&fixture.run_dir(), 9, "hoarder");
    for number in 1..=500 {
        if !hoarder.try_send(&raw::callsite(number, "enemy", &fields)) {
            break;
        }
    }
    // Each record in a batch of its own, and thus with an acknowledgement of its own.
    let mut deaf = Raw::worker(&fixture.run_dir(), 10, "deaf");
    deaf.send(&site());
    for seq in 1..=20_000 {
        deaf.send(&hostile_record(seq, stamp::now(), 1));
    }
    settle(&listener);
    let growth = memory(&listener, "VmHWM") - before;
    eprintln!("the listener grew by {} KiB", growth >> 10);
    assert!(growth < GROWTH_MAX, "{growth} bytes");
    // Whoever reads in the end hears the last acknowledgement.
    deaf.await_ack(20_000);
    let counts = steady.finish();
    drop(listener.stop());
    honest(&fixture.log()).demand_counts(&counts);
}

#[test]
fn a_large_frame_that_trickles_in_byte_by_byte_is_one_whole_record() {
    let fixture = Fixture::new(binaries!());
    let listener = fixture.listener().start();
    let steady = Steady::start(&fixture, 1, 1, &[]);
    let mut raw = Raw::worker(&fixture.run_dir(), 9, "slow");
    raw.send(&site());
    let ballast = "y".repeat(100_000);
    let record = raw::record_with(1, stamp::now(), 1, |fields| {
        fields.str(FieldName::Inline("message"), &ballast);
    });
    for byte in &record {
        raw.send(std::slice::from_ref(byte));
    }
    raw.await_ack(1);
    let counts = steady.finish();
    drop((raw, listener.stop()));
    honest(&fixture.log()).demand_counts(&counts);
    let lines = judge::lines(&fixture.log());
    let slow = lines.iter().find(|line| line.worker == "slow" && line.seq == 1).expect("its line");
    assert_eq!(slow.fields["message"], Value::from(ballast));
}

#[test]
fn unfinished_frames_of_many_enemies_cost_bounded_memory_and_no_honest_worker() {
    let fixture = Fixture::new(binaries!());
    let listener = fixture.listener().start();
    let steady =
        Steady::start(&fixture, 2, 1, &["--ballast", "300000", "--burst", "2", "--pause", "20000"]);
    settle(&listener);
    let before = memory(&listener, "VmHWM");
    let unfinished = {
        let mut bytes = u32::try_from(FRAME_MAX).expect("a length").to_le_bytes().to_vec();
        bytes.push(Kind::Record as u8);
        bytes.resize(1 << 20, 0);
        bytes
    };
    let mut held: Vec<Raw> = Vec::new();
    for queue in 0..150 {
        let mut raw = Raw::worker(&fixture.run_dir(), 1000 + queue, "enemy");
        raw.send(&unfinished);
        held.push(raw);
    }
    settle(&listener);
    let growth = memory(&listener, "VmHWM") - before;
    eprintln!("the listener grew by {} MiB", growth >> 20);
    // 64 MiB of unfinished frames are allowed, and a buffer may be a part larger than its frame.
    assert!(growth < 3 * GROWTH_MAX / 2 + (32 << 20), "{growth} bytes");
    let counts = steady.finish();
    let receipt = listener.stop();
    assert!(receipt.offences >= 80, "{receipt:?}");
    honest(&fixture.log()).demand_counts(&counts);
}
