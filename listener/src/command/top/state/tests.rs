use super::*;
use crate::command::top::keys::Wish;
use crate::command::top::sort::Key;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// A fleet of workers, each with its name, pid and rate.
fn fleet(workers: &[(&str, u32, f64)]) -> Fleet {
    let mut fleet = Fleet::parse(
        r#"{"listener":{"pid":5,"uptime_seconds":1,"run_dir":"/r","version":"0.1.0"},
            "sinks":[{"target":"/a.log","format":"json","filter":"trace"}]}"#,
    )
    .unwrap();
    fleet.workers = workers
        .iter()
        .map(|(name, pid, rate)| Worker {
            name: (*name).to_owned(),
            pid: *pid,
            connected: true,
            records_per_second: *rate,
            ..Worker::default()
        })
        .collect();
    fleet
}

fn model(workers: &[(&str, u32, f64)]) -> Model {
    let mut model = Model::default();
    model.answer(Ok(fleet(workers)), Instant::now());
    model
}

fn press(model: &mut Model, keys: &[KeyCode]) -> Wish {
    let press = |key: &KeyCode| model.press(KeyEvent::new(*key, KeyModifiers::NONE));
    keys.iter().map(press).last().unwrap_or(Wish::Nothing)
}

fn type_text(model: &mut Model, text: &str) {
    text.chars().for_each(|c| _ = press(model, &[KeyCode::Char(c)]));
}

fn names(model: &Model) -> Vec<&str> {
    model.rows().map(|worker| &*worker.name).collect()
}

fn chosen(model: &Model) -> &str {
    model.chosen().map_or("", |worker| &worker.name)
}

const THREE: [(&str, u32, f64); 3] = [("a", 1, 1.0), ("b", 2, 9.0), ("c", 3, 5.0)];

#[test]
fn the_chosen_worker_stays_chosen_whatever_is_sorted_or_answered() {
    let mut model = model(&THREE);
    assert_eq!(names(&model), ["b", "c", "a"], "the most first");
    press(&mut model, &[KeyCode::Down]);
    assert_eq!(chosen(&model), "c");
    press(&mut model, &[KeyCode::Char('1')]);
    assert_eq!((names(&model), chosen(&model), model.cursor()), (vec!["a", "b", "c"], "c", 2));
    press(&mut model, &[KeyCode::Char('r')]);
    assert_eq!((chosen(&model), model.cursor()), ("c", 0));
    press(&mut model, &[KeyCode::Char('3')]);
    model.answer(Ok(fleet(&[("c", 3, 0.0), ("a", 1, 7.0), ("b", 2, 8.0)])), Instant::now());
    assert_eq!((chosen(&model), model.cursor()), ("c", 2));
    // Another process of the same name is somebody else.
    model.answer(Ok(fleet(&[("c", 33, 0.0), ("c", 3, 1.0), ("a", 1, 2.0)])), Instant::now());
    assert_eq!(model.chosen().unwrap().pid, 3);
}

#[test]
fn a_listener_that_begins_anew_does_not_move_the_choice() {
    let mut model = model(&THREE);
    press(&mut model, &[KeyCode::Down, KeyCode::Enter]);
    let followed = model.followed();
    let trouble = Trouble { what: "gone", why: String::new() };
    let begun = Instant::now();
    model.answer(Err(trouble.clone()), begun);
    model.answer(Err(trouble), begun + Duration::from_secs(3));
    assert_eq!(model.trouble().unwrap().1, Duration::from_secs(3));
    assert_eq!(names(&model).len(), 3, "the last picture stays");
    // The workers come one by one.
    model.answer(Ok(fleet(&THREE[..1])), begun);
    assert!(model.trouble().is_none());
    assert!(model.chosen().is_none() && model.shows_details);
    assert_eq!(model.followed(), followed, "its lines are read on");
    model.answer(Ok(fleet(&THREE)), begun);
    assert_eq!(chosen(&model), "c");
}

#[test]
fn workers_that_come_and_go_never_leave_the_cursor_outside() {
    let mut model = model(&THREE);
    press(&mut model, &[KeyCode::End]);
    assert_eq!(chosen(&model), "a");
    model.answer(Ok(fleet(&THREE[1..2])), Instant::now());
    assert_eq!((chosen(&model), model.cursor()), ("b", 0));
    model.answer(Ok(fleet(&[])), Instant::now());
    assert_eq!((chosen(&model), model.cursor()), ("", 0));
    for key in [KeyCode::Up, KeyCode::Down, KeyCode::PageDown, KeyCode::End, KeyCode::Enter] {
        press(&mut model, &[key]);
    }
    assert!(!model.shows_details, "there is nothing to open");
    model.answer(Ok(fleet(&THREE)), Instant::now());
    assert_eq!(chosen(&model), "a", "it has come back");
}

#[test]
fn rows_that_nothing_tells_apart_can_be_stepped_past() {
    let mut model = model(&THREE);
    let twins = || {
        let mut answer = fleet(&[("w", 1, 5.0), ("w", 1, 5.0), ("w", 1, 5.0), ("x", 2, 1.0)]);
        for (worker, transport) in answer.workers.iter_mut().zip(["lanes", "socket", "socket"]) {
            worker.transport = transport.to_owned();
        }
        answer
    };
    model.answer(Ok(twins()), Instant::now());
    for cursor in [1, 2, 3] {
        press(&mut model, &[KeyCode::Down]);
        model.answer(Ok(twins()), Instant::now());
        assert_eq!(model.cursor(), cursor);
    }
    press(&mut model, &[KeyCode::Up, KeyCode::Enter]);
    assert_eq!(model.chosen().unwrap().transport, "socket");
    // It has found its way back to lanes, and is nobody else.
    let mut answer = fleet(&[("w", 1, 5.0)]);
    answer.workers[0].transport = "lanes".to_owned();
    model.answer(Ok(answer), Instant::now());
    assert_eq!(chosen(&model), "w");
}

#[test]
fn what_is_typed_is_looked_for_at_once_and_escape_drops_it() {
    let mut model = model(&[("web 1", 1, 1.0), ("web 2", 2, 2.0), ("db", 12, 3.0)]);
    type_text(&mut model, "/web q");
    assert!(names(&model).is_empty() && model.is_typing);
    press(&mut model, &[KeyCode::Backspace, KeyCode::Backspace, KeyCode::Enter]);
    assert_eq!((names(&model), model.is_typing), (vec!["web 2", "web 1"], false));
    assert_eq!(press(&mut model, &[KeyCode::Esc]), Wish::Nothing);
    assert_eq!(names(&model).len(), 3);
    type_text(&mut model, "/12");
    assert_eq!(names(&model), ["db"]);
    press(&mut model, &[KeyCode::Esc]);
    assert_eq!(names(&model).len(), 3);
    assert_eq!(press(&mut model, &[KeyCode::Esc]), Wish::End);
}

#[test]
fn only_workers_with_problems_are_shown_where_that_is_wanted() {
    let mut model = model(&THREE);
    let mut answer = fleet(&THREE);
    answer.workers[1].missing = 1;
    model.answer(Ok(answer), Instant::now());
    press(&mut model, &[KeyCode::Char('!')]);
    assert_eq!(names(&model), ["b"]);
    press(&mut model, &[KeyCode::Char('!')]);
    assert_eq!(names(&model).len(), 3);
}

#[test]
fn a_picture_that_is_held_does_not_change_but_tells_of_trouble() {
    let mut model = model(&THREE);
    press(&mut model, &[KeyCode::Char(' ')]);
    model.answer(Ok(fleet(&[])), Instant::now());
    assert_eq!(names(&model).len(), 3);
    model.answer(Err(Trouble { what: "gone", why: String::new() }), Instant::now());
    assert!(model.trouble().is_some());
    press(&mut model, &[KeyCode::Char(' ')]);
    model.answer(Ok(fleet(&[])), Instant::now());
    assert!(names(&model).is_empty() && model.trouble().is_none());
}

#[test]
fn the_choice_is_on_the_screen_wherever_it_goes() {
    let many: Vec<_> = (0..500).map(|n| (format!("w{n}"), n, f64::from(n))).collect();
    let many: Vec<_> = many.iter().map(|(name, pid, rate)| (&**name, *pid, *rate)).collect();
    let mut model = model(&many);
    for (key, cursor) in [
        (KeyCode::End, 499),
        (KeyCode::PageUp, 489),
        (KeyCode::Home, 0),
        (KeyCode::PageDown, 10),
        (KeyCode::Down, 11),
        (KeyCode::Up, 10),
    ] {
        model.scroll(10);
        press(&mut model, &[key]);
        let first = model.scroll(10);
        assert_eq!(model.cursor(), cursor, "{key:?}");
        assert!((first..first + 10).contains(&cursor), "{key:?} {first}");
    }
    assert_eq!(model.scroll(1_000), 0, "no row is missing where there is room");
    assert_eq!(model.scroll(0), 10);
}

#[test]
fn every_order_is_reached_by_its_digit() {
    let mut model = model(&THREE);
    for (digit, key) in ('1'..='9').zip(Key::ALL) {
        press(&mut model, &[KeyCode::Char(digit)]);
        assert_eq!(model.sort.key, key);
    }
}

#[test]
fn control_keys_end_and_stop_even_while_somebody_types() {
    let mut model = model(&THREE);
    press(&mut model, &[KeyCode::Char('/')]);
    for (key, wish) in
        [('c', Wish::End), ('z', Wish::Stop), ('l', Wish::Anew), ('x', Wish::Nothing)]
    {
        let key = KeyEvent::new(KeyCode::Char(key), KeyModifiers::CONTROL);
        assert_eq!(model.press(key), wish);
    }
    assert_eq!(press(&mut model, &[KeyCode::Char('q')]), Wish::Nothing, "it is a letter");
}

#[test]
fn lines_are_kept_of_one_worker_and_not_for_ever() {
    let mut model = model(&THREE);
    press(&mut model, &[KeyCode::Enter]);
    let followed = model.followed().unwrap();
    let raw = |n: usize| lines::Line::Raw(n.to_string());
    let batch = |range: std::ops::Range<usize>| Batch {
        followed: followed.clone(),
        lines: range.map(raw).collect(),
    };
    let shown = |model: &mut Model| model.lines.shown(2).cloned().collect::<Vec<_>>();
    model.take_lines(batch(0..lines::KEPT + 5));
    assert_eq!(shown(&mut model), [raw(lines::KEPT + 3), raw(lines::KEPT + 4)]);
    press(&mut model, &[KeyCode::Home]);
    assert_eq!(shown(&mut model), [raw(5), raw(6)], "the oldest of those that are kept");
    press(&mut model, &[KeyCode::End, KeyCode::PageUp]);
    let before = shown(&mut model);
    model.take_lines(batch(0..3));
    assert_eq!(shown(&mut model), before, "who reads old lines keeps them");
    press(&mut model, &[KeyCode::End, KeyCode::Char(' ')]);
    let before = shown(&mut model);
    model.take_lines(batch(0..3));
    assert_eq!(shown(&mut model), before, "a picture that is held stays");

    press(&mut model, &[KeyCode::Down]);
    let other = model.followed().unwrap();
    model.take_lines(batch(0..3));
    assert!(!model.lines.are_of(&other), "lines that come late are not of this worker");
    model.take_lines(Batch { followed: other.clone(), lines: vec![raw(7)] });
    assert!(model.lines.are_of(&other));
    assert_eq!(shown(&mut model), [raw(7)]);
}
