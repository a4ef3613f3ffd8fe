//! One record of every kind, each named by its field `case`.

use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::io::Write as _;
use std::time::Duration;

use crate::arguments::Arguments;
use crate::setup::{PATIENCE, Setup};

pub(crate) fn run(arguments: &mut Arguments) {
    let what: String = arguments.take("what", String::new());
    match what.as_str() {
        // Sets up as most programs do, with the `log` crate.
        "log" => {
            if let Err(error) = fleetlog_worker::init() {
                panic!("{error}");
            }
            log_crate();
        }
        "unheard" => return unheard(&Setup::from(&mut *arguments)),
        what => {
            Setup::from(&mut *arguments).install();
            match what {
                "values" => values(),
                "spans" => spans(),
                "names" => names(),
                "odd" => odd_places(),
                "long" => long(),
                other => panic!("no records `{other}`"),
            }
        }
    }
    fleetlog_worker::sync(PATIENCE).expect("everything is in the file");
}

fn log_crate() {
    log::warn!(target: "their::target", "from log, {}", 7);
    log::info!("from log, untargeted");
    log::debug!("never sent");
    let span = tracing::info_span!("ours", id = 7);
    span.in_scope(|| log::error!(target: "their::target", "from log in a span"));
    tracing::info!(target: "our::target", "from tracing");
}

#[derive(Debug)]
struct Layered(&'static str, Option<Box<Layered>>);

impl fmt::Display for Layered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for Layered {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.1.as_deref().map(|source| source as _)
    }
}

fn values() {
    let root = Box::new(Layered("the disk is gone", None));
    let error = Layered("the query failed", Some(Box::new(Layered("the file", Some(root)))));
    let error: &(dyn Error + 'static) = &error;
    tracing::info!(
        case = "numbers",
        u128 = u128::MAX,
        i128 = i128::MIN,
        u64 = u64::MAX,
        i64 = i64::MIN,
        f64 = 1.5,
        nan = f64::NAN,
        infinite = f64::NEG_INFINITY,
        tiny = f64::MIN_POSITIVE,
    );
    tracing::info!(
        case = "others",
        yes = true,
        no = false,
        bytes = &b"\x00\x7f\xff"[..],
        error,
        debug = ?Some("a\"b"),
        display = %"shown",
        text = "plain",
        none = None::<u64>,
        some = Some(3_u8),
        empty = tracing::field::Empty,
        "a message with {} arguments",
        2
    );
    tracing::trace!(case = "level");
    tracing::debug!(case = "level");
    tracing::info!(case = "level");
    tracing::warn!(case = "level");
    tracing::error!(case = "level");
}

fn spans() {
    let outer = tracing::info_span!("outer", id = 1, late = tracing::field::Empty);
    let inside = outer.enter();
    let inner = tracing::info_span!("inner", id = 2);
    inner.in_scope(|| tracing::info!(case = "inherited"));
    outer.record("late", "now known");
    inner.in_scope(|| tracing::info!(case = "recorded later"));
    outer.record("late", "known better");
    tracing::info!(case = "recorded again");
    tracing::info!(parent: None, case = "root");
    drop(inside);
    tracing::info!(case = "outside");
    tracing::info!(parent: &inner, case = "explicit parent");
    let child = tracing::info_span!(parent: &inner, "child of a closed scope", id = 3);
    let root = tracing::info_span!(parent: None, "root span", id = 4);
    child.in_scope(|| tracing::info!(case = "explicit parent of a span"));
    outer.in_scope(|| root.in_scope(|| tracing::info!(case = "root span")));
    // A thread has a context of its own, unless it is handed one.
    std::thread::scope(|scope| {
        let outer = &outer;
        outer.in_scope(|| {
            scope.spawn(|| tracing::info!(case = "other thread")).join().expect("a thread");
        });
        scope
            .spawn(|| outer.in_scope(|| tracing::info!(case = "handed over")))
            .join()
            .expect("a thread");
    });
    let mut deep = Vec::new();
    for depth in 0..70 {
        deep.push(tracing::info_span!("deep", depth).entered());
    }
    tracing::info!(case = "deep");
    while let Some(span) = deep.pop() {
        drop(span);
    }
    tracing::info!(case = "after");
}

fn names() {
    for (round, name) in ["workload", "second", "third\nname", "workload"].iter().enumerate() {
        if round > 0 {
            fleetlog_worker::set_name(name);
        }
        for n in 0..3 {
            tracing::info!(source = "names", n = round * 3 + n, name);
        }
    }
    // A name that nothing was logged under leaves no trace.
    fleetlog_worker::set_name("unused");
    fleetlog_worker::set_name("last");
    tracing::info!(source = "names", n = 12, name = "last");
}

struct Talkative;

impl fmt::Debug for Talkative {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        tracing::info!(case = "inside of a Debug");
        f.write_str("talkative")
    }
}

struct Panicky;

impl fmt::Debug for Panicky {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("a Debug that panics")
    }
}

struct LastWords(&'static str);

impl Drop for LastWords {
    fn drop(&mut self) {
        let _span = tracing::info_span!("destructor").entered();
        tracing::info!(case = self.0);
    }
}

thread_local! {
    static LAST_WORDS: RefCell<Option<LastWords>> = const { RefCell::new(None) };
}

fn odd_places() {
    tracing::info!(case = "around a Debug", value = ?Talkative);
    std::panic::set_hook(Box::new(|_| ()));
    let panicked = std::panic::catch_unwind(|| tracing::info!(case = "never", value = ?Panicky));
    assert!(panicked.is_err());
    tracing::info!(case = "after a panic");
    // Destructors run in the order against that of their registration: one runs when the thread's
    // buffers are still there, the other one when they are gone.
    let early = || LAST_WORDS.set(Some(LastWords("destructor before the first record")));
    let thread = std::thread::spawn(move || {
        early();
        tracing::info!(case = "in a thread");
    });
    thread.join().expect("a thread");
    let thread = std::thread::spawn(|| {
        tracing::info!(case = "in a thread");
        LAST_WORDS.set(Some(LastWords("destructor after the first record")));
    });
    thread.join().expect("a thread");
    std::thread::spawn(|| LAST_WORDS.set(Some(LastWords("destructor with the only record"))))
        .join()
        .expect("a thread");
}

fn long() {
    // Two bytes a letter, from an odd place on: a cut in the middle of one would not be text.
    let text = format!("a{}", "ä".repeat(1 << 20));
    tracing::info!(case = "before", n = 0);
    tracing::info!(case = "message", "{text}");
    tracing::info!(case = "field", text, "short");
    let span = tracing::info_span!("long", text);
    span.in_scope(|| tracing::info!(case = "span", "short"));
    tracing::info!(case = "behind", n = 1);
}

/// Nobody listens: `sync` says so, in its time, and again.
fn unheard(setup: &Setup) {
    setup.install();
    fleetlog_worker::sync(Duration::from_millis(10)).expect("there is nothing to wait for");
    for n in 0..5 {
        tracing::info!(source = "unheard", n);
    }
    let error = fleetlog_worker::sync(Duration::from_millis(50)).expect_err("nobody listens");
    writeln!(std::io::stdout(), "{error}; {}", error.0).expect("standard output");
}
