//! A forked child never hangs in the registry, whatever other threads were doing.
//!
//! Each set-up needs a global default of its own, so each test runs this binary again with one *role*. To measure by hand:
//!
//! ```text
//! FLEETLOG_FORKS=10000 cargo test --release -p fleetlog-worker --test registry_fork -- --nocapture
//! FLEETLOG_ROLE=storm FLEETLOG_REGISTRY=stock FLEETLOG_LAYERS=none FLEETLOG_FORKS=10000 FLEETLOG_STOP_AT_HUNG=1 \
//!     cargo test --release -p fleetlog-worker --test registry_fork -- --exact role --nocapture
//! ```

#![allow(clippy::print_stdout, reason = "a role answers on stdout")]

use std::{
    env,
    fs::File,
    io,
    process::Command,
    str::FromStr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

use nix::{
    errno::Errno,
    sys::{
        signal::Signal,
        wait::{WaitStatus, waitpid},
    },
    unistd::{ForkResult, Pid, alarm, fork},
};
use tracing::{
    Event, Subscriber, info, info_span,
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::LevelFilter,
    fmt::{self, format::FmtSpan},
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
    util::SubscriberInitExt,
};

/// How long a child may take before it counts as hung. It needs a millisecond.
const CHILD_DEADLINE_S: u32 = 20;

// --- the tests ---

#[test]
fn children_of_a_busy_process_log_in_spans_over_the_bare_registry() {
    storm(&[("FLEETLOG_LAYERS", "none")], 1_000);
}

#[test]
fn children_of_a_busy_process_log_through_fmt() {
    storm(&[("FLEETLOG_LAYERS", "fmt")], 200);
}

#[test]
fn children_of_a_busy_process_log_through_fmt_under_an_env_filter() {
    storm(&[("FLEETLOG_LAYERS", "fmt+env")], 200);
}

#[test]
fn children_of_a_busy_process_log_through_layers_with_filters_of_their_own() {
    storm(&[("FLEETLOG_LAYERS", "fmt+filtered")], 100);
}

#[test]
fn children_log_in_a_span_that_all_threads_of_the_parent_share() {
    storm(&[("FLEETLOG_LAYERS", "fmt"), ("FLEETLOG_SHARED", "1")], 100);
}

#[test]
fn a_child_uses_a_span_whose_extensions_a_thread_of_the_parent_was_changing() {
    let output = run_role("stuck_writer", &[]);
    assert!(output.contains("done"), "{output}");
}

#[test]
fn a_child_changes_a_span_whose_extensions_a_thread_of_the_parent_was_reading() {
    let output = run_role("stuck_reader", &[]);
    assert!(output.contains("done"), "{output}");
}

#[test]
fn a_thread_local_destructor_may_log_in_spans() {
    let output = run_role("late", &[]);
    for line in [
        "early: Some(\"note of early\")",
        "late: Some(\"note of late\")",
        "later: Some(\"note of later\")",
    ] {
        assert!(output.contains(line), "{output}");
    }
    assert_eq!(output.matches("close late\n").count(), 3, "{output}");
}

#[test]
fn spans_open_at_the_fork_are_open_in_the_child() {
    let output = run_role("inherited", &[]);
    assert!(output.contains("outer{a=1}:inner{b=2}: registry_fork: child inside"), "{output}");
    assert!(
        output.contains("outer{a=1}:inner{b=2 late=3}: registry_fork: child after record"),
        "{output}"
    );
    assert!(
        output.contains("outer{a=1}:inner{b=2}: registry_fork: parent undisturbed"),
        "{output}"
    );
}

fn storm(setup: &[(&str, &str)], forks: usize) {
    let forks = variable("FLEETLOG_FORKS").unwrap_or(forks).to_string();
    let mut setup = setup.to_vec();
    setup.push(("FLEETLOG_FORKS", &forks));
    let output = run_role("storm", &setup);
    assert!(output.contains(&format!("forks={forks} hung=0 first_hung=none")), "{output}");
    println!("{output}");
}

/// Runs this binary again in a role, and returns what it printed. A role that fails, fails the test.
fn run_role(role: &str, setup: &[(&str, &str)]) -> String {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "role", "--nocapture", "--test-threads=1"]).env("FLEETLOG_ROLE", role);
    command.envs(setup.iter().copied());
    let output = command.output().unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{command:?}: {}\n{text}", output.status);
    text
}

fn variable<T: FromStr>(name: &str) -> Option<T> {
    env::var(name).ok()?.parse().ok()
}

/// Not a test of its own: what `run_role` runs. Without a role it has nothing to do.
#[test]
fn role() {
    match env::var("FLEETLOG_ROLE").as_deref() {
        Ok("storm") => storm_role(),
        Ok("stuck_writer") => stuck_role(&[Held::InRecord]),
        Ok("stuck_reader") => stuck_role(&[Held::InEvent]),
        Ok("late") => late_role(),
        Ok("inherited") => inherited_role(),
        Ok(other) => panic!("unknown role {other}"),
        Err(_) => {}
    }
}

// --- forking ---

/// Forks, runs `child` there under a deadline, and reaps it. Returns false if the deadline killed it.
fn fork_and_reap(child: impl FnOnce()) -> bool {
    // SAFETY: the tests are about what a child of a process with threads may do; it calls what is under test, and leaves
    // by `_exit`.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            // The kernel ends this very process when the time is up.
            alarm::set(
                CHILD_DEADLINE_S.min(variable("FLEETLOG_DEADLINE_S").unwrap_or(CHILD_DEADLINE_S)),
            );
            child();
            // SAFETY: ends the process at once, without running handlers or destructors of the parent's state.
            unsafe { libc::_exit(0) }
        }
        ForkResult::Parent { child } => reap(child),
    }
}

/// Runs `body` on a thread of its own in a child, and joins it.
///
/// Not by `std::thread`: std 1.95 takes a process-wide mutex of its own at each thread's start and end (for its stack overflow
/// message), so a child that starts a std thread hangs now and then whatever it logs with. That is measured with
/// `FLEETLOG_CHILD_THREADS=std`.
fn child_thread(body: impl FnOnce() + Send + 'static) {
    if env::var("FLEETLOG_CHILD_THREADS").is_ok_and(|kind| kind == "std") {
        return thread::spawn(body).join().unwrap();
    }
    type Body = Box<dyn FnOnce() + Send>;
    extern "C" fn start(body: *mut libc::c_void) -> *mut libc::c_void {
        // SAFETY: the one pointer made below, handed to this thread alone.
        let body = unsafe { Box::from_raw(body.cast::<Body>()) };
        body();
        std::ptr::null_mut()
    }
    let body: Box<Body> = Box::new(Box::new(body));
    let mut id = std::mem::MaybeUninit::uninit();
    // SAFETY: `start` is given the pointer that it expects, and the thread is joined before this function returns.
    let started = unsafe {
        libc::pthread_create(id.as_mut_ptr(), std::ptr::null(), start, Box::into_raw(body).cast())
    };
    assert_eq!(started, 0);
    // SAFETY: `pthread_create` succeeded, so it wrote the id.
    let id = unsafe { id.assume_init() };
    // SAFETY: the thread is joinable and joined once.
    let joined = unsafe { libc::pthread_join(id, std::ptr::null_mut()) };
    assert_eq!(joined, 0);
}

fn reap(child: Pid) -> bool {
    loop {
        match waitpid(child, None) {
            Ok(WaitStatus::Exited(_, 0)) => return true,
            Ok(WaitStatus::Signaled(_, Signal::SIGALRM, _)) => return false,
            Err(Errno::EINTR) => {}
            other => panic!("the child {child} ended with {other:?}"),
        }
    }
}

// --- the storm: threads that open spans, log and start threads, while the main thread forks ---

fn storm_role() {
    let setup = |name: &str, default: &str| env::var(name).unwrap_or_else(|_| default.to_owned());
    let layers = setup("FLEETLOG_LAYERS", "none");
    match setup("FLEETLOG_REGISTRY", "ours").as_str() {
        "ours" => install(fleetlog_worker::registry(), &layers),
        "stock" => install(tracing_subscriber::registry(), &layers),
        other => panic!("unknown registry {other}"),
    }
    let forks = variable("FLEETLOG_FORKS").unwrap_or(100);
    let stop_at_hung = variable("FLEETLOG_STOP_AT_HUNG").unwrap_or(usize::MAX);
    let shared = variable::<u8>("FLEETLOG_SHARED")
        .map(|_| info_span!("shared", of = "all", late = tracing::field::Empty));
    let shared = shared.unwrap_or_else(tracing::Span::none);

    let begin = Instant::now();
    let stop = AtomicBool::new(false);
    let threads = AtomicUsize::new(0);
    let (mut done, mut hung, mut first_hung) = (0, 0, None);
    thread::scope(|scope| {
        let _stop = StopOnDrop(&stop);
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    shared.in_scope(log_in_spans);
                    let shared = shared.clone();
                    thread::spawn(move || shared.in_scope(log_in_spans)).join().unwrap();
                    threads.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        while done < forks && hung < stop_at_hung {
            done += 1;
            let finished = fork_and_reap(|| {
                shared.in_scope(log_in_spans);
                shared.record("late", 1);
                let shared = shared.clone();
                child_thread(move || shared.in_scope(log_in_spans));
            });
            if !finished {
                hung += 1;
                first_hung.get_or_insert(done);
            }
        }
    });
    let first_hung = first_hung.map_or_else(|| "none".to_owned(), |fork: usize| fork.to_string());
    println!(
        "{layers}: forks={done} hung={hung} first_hung={first_hung} threads={} in {:?}",
        threads.load(Ordering::Relaxed),
        begin.elapsed()
    );
}

/// Stops the storm's threads also when the main thread fails.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn log_in_spans() {
    for n in 0..10 {
        let span = info_span!("work", n, late = tracing::field::Empty);
        let _in = span.enter();
        info!(n, "inside");
        span.record("late", n);
        info_span!("below").in_scope(|| info!("deeper"));
    }
}

fn install<R>(registry: R, layers: &str)
where
    R: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    macro_rules! text {
        () => {
            fmt::layer().with_ansi(false).with_span_events(FmtSpan::FULL)
        };
    }
    let null = || File::options().write(true).open("/dev/null").unwrap();
    let env = |directives: &str| EnvFilter::new(directives);
    match layers {
        "none" => registry.init(),
        "fmt" => registry.with(text!().with_writer(io::sink)).init(),
        "fmt+file" => registry.with(text!().with_writer(Arc::new(null()))).init(),
        "fmt+mutex" => registry.with(text!().with_writer(Mutex::new(null()))).init(),
        "fmt+env" => {
            registry.with(env("info,hyper=warn")).with(text!().with_writer(io::sink)).init();
        }
        "fmt+dynamic" => {
            registry.with(env("warn,[work{n}]=trace")).with(text!().with_writer(io::sink)).init();
        }
        "env" => registry.with(env("info,hyper=warn")).init(),
        "dynamic" => registry.with(env("warn,[work{n}]=trace")).init(),
        "fmt+filtered" => registry
            .with(text!().with_writer(io::sink).with_filter(LevelFilter::INFO))
            .with(text!().with_writer(io::sink).with_filter(env("registry_fork=debug")))
            .init(),
        other => panic!("unknown layers {other}"),
    }
}

// --- a child that finds extensions locked ---

#[derive(Clone, Copy, PartialEq, Eq)]
enum Held {
    InRecord,
    InEvent,
}

/// Holds a span's extensions while `inside` is set.
struct Holder {
    when: Vec<Held>,
    wanted: Arc<AtomicBool>,
    inside: Arc<AtomicBool>,
}

impl Holder {
    fn wait_if_wanted(&self) {
        if self.wanted.load(Ordering::SeqCst) {
            self.inside.store(true, Ordering::SeqCst);
            while self.wanted.load(Ordering::SeqCst) {
                thread::yield_now();
            }
            self.inside.store(false, Ordering::SeqCst);
        }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Holder {
    fn on_new_span(&self, _: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        context.span(id).unwrap().extensions_mut().insert(0_u32);
    }

    fn on_record(&self, id: &Id, _: &Record<'_>, context: Context<'_, S>) {
        let span = context.span(id).unwrap();
        let mut extensions = span.extensions_mut();
        extensions.replace(1_u32);
        if self.when.contains(&Held::InRecord) {
            self.wait_if_wanted();
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        for span in context.event_scope(event).into_iter().flatten() {
            let extensions = span.extensions();
            let _ = extensions.get::<u32>();
            if self.when.contains(&Held::InEvent) {
                self.wait_if_wanted();
            }
        }
    }
}

fn stuck_role(when: &[Held]) {
    let wanted = Arc::new(AtomicBool::new(false));
    let inside = Arc::new(AtomicBool::new(false));
    let holder =
        Holder { when: when.to_vec(), wanted: Arc::clone(&wanted), inside: Arc::clone(&inside) };
    fleetlog_worker::registry().with(fmt::layer().with_writer(io::sink)).with(holder).init();
    let span = info_span!("shared", a = 1, late = tracing::field::Empty);
    wanted.store(true, Ordering::SeqCst);
    let other = thread::spawn({
        let (span, when) = (span.clone(), when[0]);
        move || match when {
            Held::InRecord => _ = span.record("late", 1),
            Held::InEvent => span.in_scope(|| info!("held while reading")),
        }
    });
    while !inside.load(Ordering::SeqCst) {
        thread::yield_now();
    }
    for _ in 0..3 {
        let finished = fork_and_reap(|| {
            wanted.store(false, Ordering::SeqCst);
            span.in_scope(|| info!("child reads"));
            span.record("late", 2);
            span.in_scope(|| info!("child reads again"));
            // A grandchild meets the same span once more.
            assert!(fork_and_reap(|| _ = span.record("late", 3)));
            info_span!(parent: &span, "below").in_scope(|| info!("inside"));
        });
        assert!(finished, "the child waits for a lock of a thread that it doesn't have");
    }
    wanted.store(false, Ordering::SeqCst);
    other.join().unwrap();
    span.record("late", 4);
    println!("done");
}

// --- a thread-local's destructor ---

struct LogsOnDrop;

impl Drop for LogsOnDrop {
    fn drop(&mut self) {
        let span = info_span!("late", n = 1);
        span.in_scope(|| info!("from a destructor"));
        info_span!("later").in_scope(|| info!("again"));
    }
}

/// Prints events and the extensions of their scope. `fmt` itself panics here: its line buffer is a thread-local, and gone.
struct Printer;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Printer {
    fn on_new_span(&self, _: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let span = context.span(id).unwrap();
        let note = format!("note of {}", span.name());
        span.extensions_mut().replace(note);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        for span in context.event_scope(event).into_iter().flatten() {
            println!("{}: {:?}", span.name(), span.extensions().get::<String>());
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        println!("close {}", context.span(&id).unwrap().name());
    }
}

fn late_role() {
    thread_local! {
        static FIRST: LogsOnDrop = const { LogsOnDrop };
        static LAST: LogsOnDrop = const { LogsOnDrop };
    }
    fleetlog_worker::registry().with(Printer.with_filter(LevelFilter::INFO)).init();
    // One destructor runs after everything that the registry left in the thread, one before, one without any of it.
    thread::spawn(|| {
        FIRST.with(|_| ());
        info_span!("early").in_scope(|| info!("while alive"));
        LAST.with(|_| ());
    })
    .join()
    .unwrap();
    thread::spawn(|| FIRST.with(|_| ())).join().unwrap();
}

// --- spans across a fork ---

fn inherited_role() {
    fleetlog_worker::registry().with(fmt::layer().with_ansi(false).without_time()).init();
    let outer = info_span!("outer", a = 1).entered();
    let inner = info_span!("inner", b = 2, late = tracing::field::Empty).entered();
    let finished = fork_and_reap(|| {
        info!("child inside");
        inner.record("late", 3);
        info!("child after record");
        drop(inner.clone());
    });
    assert!(finished);
    info!("parent undisturbed");
    drop((inner, outer));
}
