use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::*;
use crate::command::status::answer::{Drops, Fleet, LastError, Worker};
use crate::command::table::is_unsafe;
use crate::command::top::source::Trouble;
use crate::command::top::state::lines::{Batch, Line};

const PLAIN: Theme = Theme { has_colors: false };

/// A fleet with so many workers, of which some have troubles.
fn fleet(workers: u32) -> Fleet {
    let mut fleet = Fleet::parse(
        r#"{"listener":{"pid":4711,"uptime_seconds":11520,"run_dir":"/run/fleetlog","version":"0.1.0"},
            "totals":{"workers":301,"connected":300,"died":1,"written":1234567,"lines":1234567,"bytes":123456789,
              "records_per_second":12345.4,"bytes_per_second":1234567,"history":[1,2,3,4,5,6,7,8],
              "dropped":{"full":3,"no_listener":4},"missing":2,"levels":{"error":12,"warn":1}},
            "sinks":[{"target":"/var/log/apps.log","format":"json","filter":"trace","lines":1234567,"bytes":123456789,
              "size":3145728,"size_max":104857600,"rotation":"hourly","archives":9,"total_bytes":1073741824,
              "total_bytes_max":5368709120,"compression":"zstd","sync":"1s","seconds_since_sync":0.4,
              "disk_free_bytes":53687091200,"disk_total_bytes":107374182400},
             {"target":"standard output","format":"text","filter":"error","lines":12,"bytes":1200,"error":"no room"}]}"#,
    )
    .unwrap();
    fleet.workers = (0..workers)
        .map(|n| Worker {
            name: format!("worker {n}"),
            pid: 10_000 + n,
            uid: 1000,
            connected: n != 2,
            transport: "lanes".to_owned(),
            lanes: 2,
            attempted: u64::from(n) * 1000 + 5,
            written: u64::from(n) * 1000,
            alive_seconds: Some(90.0 + f64::from(n)),
            seconds_since_last: Some(0.25),
            records_per_second: f64::from(1000 - n),
            bytes_per_second: f64::from(100 * (1000 - n)),
            history: vec![f64::from(n), 1.0, 2.0, 3.0],
            ..Worker::default()
        })
        .collect();
    if let Some(worker) = fleet.workers.get_mut(1) {
        worker.dropped = Drops::from([("full".to_owned(), 5)]);
        worker.missing = 2;
        worker.queued_bytes = 2048;
        worker.lag_seconds = 2.5;
        worker.errors = 12;
        let message = "no route to the database, tried it three times within a minute".to_owned();
        worker.last_error = Some(LastError { message, seconds_ago: 3.0 });
    }
    fleet
}

fn model(workers: u32) -> Model {
    let mut model = Model::default();
    model.answer(Ok(fleet(workers)), Instant::now());
    model
}

fn press(model: &mut Model, keys: &[KeyCode]) {
    for key in keys {
        model.press(KeyEvent::new(*key, KeyModifiers::NONE));
    }
}

/// What stands on a screen, without the blanks at the ends of lines.
fn screen(model: &mut Model, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, model, &PLAIN)).unwrap();
    let buffer = terminal.backend().buffer();
    let row = |y| {
        let cells = (0..width).map(|x| buffer[(x, y)].symbol());
        cells.collect::<String>().trim_end().to_owned()
    };
    (0..height).map(row).collect::<Vec<_>>().join("\n")
}

/// Compares with a picture of the folder `golden`; `FLEETLOG_GOLDEN=write` draws it anew.
#[track_caller]
fn check(model: &mut Model, (width, height): (u16, u16), picture: &str) {
    let found = screen(model, width, height);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/command/top/view/golden");
    let path = std::path::Path::new(path).join(format!("{picture}-{width}x{height}.txt"));
    if std::env::var_os("FLEETLOG_GOLDEN").is_some_and(|wish| wish == "write") {
        std::fs::write(&path, format!("{found}\n")).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    assert!(format!("{found}\n") == expected, "\n{found}\n--- is not\n{expected}");
}

#[test]
fn three_workers_on_a_small_screen() {
    check(&mut model(3), (80, 24), "three");
}

#[test]
fn three_workers_on_a_large_screen() {
    check(&mut model(3), (200, 60), "three");
}

#[test]
fn three_hundred_workers_on_a_small_screen() {
    let mut model = model(300);
    press(&mut model, &[KeyCode::Char('1'), KeyCode::End, KeyCode::Up]);
    check(&mut model, (80, 24), "many");
}

#[test]
fn three_hundred_workers_on_a_large_screen() {
    check(&mut model(300), (200, 60), "many");
}

#[test]
fn the_details_of_a_worker_with_troubles_on_a_small_screen() {
    let mut model = with_details();
    check(&mut model, (80, 24), "details");
}

#[test]
fn the_details_of_a_worker_with_troubles_on_a_large_screen() {
    let mut model = with_details();
    check(&mut model, (200, 60), "details");
}

fn with_details() -> Model {
    let mut model = model(3);
    press(&mut model, &[KeyCode::Down, KeyCode::Enter]);
    let followed = model.followed().unwrap();
    let record = |level, text: &str| Line::Record {
        time: "10:00:00.123".to_owned(),
        level,
        text: text.to_owned(),
    };
    let lines = vec![
        record(fleetlog_protocol::Level::Info, "app::job: done n=1"),
        Line::Mark("4.0 MiB skipped".to_owned()),
        record(fleetlog_protocol::Level::Error, "app::db: no route to the database"),
    ];
    model.take_lines(Batch { followed, lines });
    model
}

#[test]
fn the_page_of_keys_fits_a_small_screen() {
    let mut model = model(3);
    press(&mut model, &[KeyCode::Char('?')]);
    check(&mut model, (80, 24), "help");
}

#[test]
fn an_empty_fleet_a_paused_listener_and_one_that_is_gone_say_so() {
    let mut model = Model::default();
    assert!(screen(&mut model, 80, 24).contains("asking the listener…"));
    let mut empty = fleet(0);
    empty.listener.paused = Some("no space left".to_owned());
    let begun = Instant::now();
    model.answer(Ok(empty), begun);
    let text = screen(&mut model, 80, 24);
    assert!(
        text.contains("No worker is there.") && text.contains("paused: no space left"),
        "{text}"
    );

    let trouble =
        Trouble { what: "no listener, looking again…", why: "none lives in /run".to_owned() };
    model.answer(Ok(fleet(3)), begun);
    model.answer(Err(trouble.clone()), begun);
    model.answer(Err(trouble.clone()), begun + Duration::from_secs(12));
    let text = screen(&mut model, 80, 24);
    assert!(text.contains("no listener, looking again… (12s)"), "{text}");
    assert!(text.contains("worker 1 "), "the last picture stays:\n{text}");
    model.answer(Ok(fleet(3)), begun);
    assert!(!screen(&mut model, 80, 24).contains("looking again"));

    let mut never = Model::default();
    never.answer(Err(trouble), begun);
    let text = screen(&mut never, 80, 24);
    assert!(text.contains("none lives in /run") && text.contains("looking again"), "{text}");
}

#[test]
fn what_is_looked_for_and_held_stands_below() {
    let mut model = model(300);
    let keys: Vec<_> = "/worker 29".chars().map(KeyCode::Char).collect();
    press(&mut model, &keys);
    let text = screen(&mut model, 80, 24);
    assert!(text.contains("/worker 29") && text.contains("11 found; Enter keeps"), "{text}");
    press(&mut model, &[KeyCode::Enter, KeyCode::Char(' '), KeyCode::Char('!')]);
    let text = screen(&mut model, 80, 24);
    assert!(text.contains("HELD  /worker 29  only problems  0 of 0 (of 300)"), "{text}");
    assert!(text.contains("No worker fits"), "{text}");
}

#[test]
fn a_log_that_is_nowhere_or_whose_worker_is_gone_says_so() {
    let mut model = model(3);
    press(&mut model, &[KeyCode::Enter]);
    let mut answer = fleet(0);
    answer.sinks.remove(0);
    model.answer(Ok(answer), Instant::now());
    let text = screen(&mut model, 80, 24);
    assert!(text.contains("does not know this worker any more"), "{text}");
    assert!(text.contains("The listener writes no file"), "{text}");
}

/// Names and messages that would like to be more than text.
fn hostile() -> Model {
    let evil = "a\u{1b}[2J\u{9b}31m\u{202e}\r\n\t\u{0}b";
    let mut answer = fleet(3);
    for worker in &mut answer.workers {
        worker.name = evil.to_owned();
        worker.transport = evil.to_owned();
        worker.fallback = Some(evil.to_owned());
        worker.dropped = Drops::from([(evil.to_owned(), u64::MAX)]);
        worker.missing = u64::MAX;
        worker.written = u64::MAX;
        worker.records_per_second = f64::MAX;
        worker.lag_seconds = f64::MAX;
        worker.alive_seconds = Some(-1.0);
        worker.history = vec![f64::NAN, f64::MAX, f64::MAX, -1.0];
        worker.last_error = Some(LastError { message: evil.repeat(500), seconds_ago: f64::NAN });
    }
    answer.workers[1].name = "東京".repeat(200);
    answer.workers[2].name = "e\u{301}\u{200b}".repeat(200);
    answer.totals.dropped = Drops::from([(evil.to_owned(), u64::MAX)]);
    answer.totals.history = vec![f64::MAX; 1000];
    answer.listener.version = evil.to_owned();
    answer.listener.run_dir = evil.to_owned();
    answer.listener.paused = Some(evil.repeat(100));
    answer.sinks[0].target = format!("log {evil}");
    answer.sinks[0].error = Some(evil.to_owned());
    answer.workers_left_out = u64::MAX;
    let mut model = Model::default();
    model.answer(Ok(answer), Instant::now());
    model
}

#[test]
fn no_text_of_somebody_else_drives_the_terminal() {
    let mut model = hostile();
    for keys in [&[][..], &[KeyCode::Enter], &[KeyCode::Down], &[KeyCode::Char('/')]] {
        press(&mut model, keys);
        let text = screen(&mut model, 200, 60);
        let unsafe_ones: Vec<_> = text.chars().filter(|c| is_unsafe(*c) && *c != '\n').collect();
        assert!(unsafe_ones.is_empty(), "{unsafe_ones:?} in\n{text}");
        assert!(text.contains("a\\u{1b}[2J\\u{9b}31m\\u{202e}\\r\\n\\t\\u{0}b"), "{text}");
        // The name in its row, or above the details.
        let name = |line: &str| line.trim_start().starts_with("a\\u{1b}[2J\\u{9b}31m\\u{202e}\\r");
        assert!(text.lines().any(name), "{text}");
    }
}

#[test]
fn every_size_is_drawn() {
    let mut models = [Model::default(), model(0), model(3), model(300), hostile(), with_details()];
    models[0].answer(
        Err(Trouble { what: "gone", why: "why".repeat(100) }),
        Instant::now() - Duration::from_secs(1),
    );
    let keys = [
        &[][..],
        &[KeyCode::End],
        &[KeyCode::Enter],
        &[KeyCode::PageUp],
        &[KeyCode::Char('?')],
        &[KeyCode::Char('x'), KeyCode::Char('/'), KeyCode::Char('w')],
    ];
    for model in &mut models {
        for keys in keys {
            press(model, keys);
            for width in (1..=9).chain([20, 39, 40, 41, 42, 60, 80, 81, 109, 110, 200]) {
                for height in (1..=12).chain([16, 24, 40]) {
                    let text = screen(model, width, height);
                    let is_small = width < 40 || height < 8;
                    assert!(
                        !is_small || width < 10 || text.contains("small"),
                        "{width}x{height}\n{text}"
                    );
                }
            }
        }
    }
}

#[test]
fn without_colors_there_is_none() {
    let draw_with = |theme: Theme| {
        let mut terminal = Terminal::new(TestBackend::new(120, 30)).unwrap();
        terminal.draw(|frame| draw(frame, &mut with_details(), &theme)).unwrap();
        let cells = terminal.backend().buffer().content().iter();
        cells.filter(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset).count()
    };
    assert_eq!(draw_with(PLAIN), 0);
    assert!(draw_with(Theme { has_colors: true }) > 0);
}
