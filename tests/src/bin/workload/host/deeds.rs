//! What hosts do to themselves.

use std::ffi::CString;
use std::fs::{self, File};
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{Signal, raise};

use super::Host;
use crate::setup::run_dir;
use crate::signals;

/// More numbers than a process has by default.
const NUMBERS: i32 = 1100;

/// The stack of a thread that is given hardly any.
const TINY_STACK: usize = 48 << 10;

/// What is done before the SDK is set up.
pub(super) fn before_set_up(deed: &str) {
    match deed {
        "without standard streams" => (0..3).for_each(close),
        "alarms" => signals::ring_every_millisecond(),
        "few descriptors" => limit(Resource::RLIMIT_NOFILE, 40),
        "little memory" => little_memory(),
        _ => {}
    }
}

/// Does the deed, and returns where the host's own folder is from then on.
pub(super) fn run(host: &Host) -> PathBuf {
    match host.deed.as_str() {
        "nothing"
        | "without standard streams"
        | "alarms"
        | "few descriptors"
        | "little memory"
        | "tiny stacks" => {}
        "close_range" => close_everything(),
        "dup2 over everything" => dup2_over_everything(&host.folder),
        "daemonise twice" => {
            daemonise();
            daemonise();
        }
        "chdir" => std::env::set_current_dir("/").expect("the root"),
        "no more descriptors" => no_more_descriptors(),
        "files of no size" => limit(Resource::RLIMIT_FSIZE, 64 << 10),
        "stop" => raise(Signal::SIGSTOP).expect("a signal"),
        "setuid" => become_nobody(),
        "chroot" => {
            chroot(&host.folder);
            return PathBuf::from("/");
        }
        "unshare and mount over it" => mount_over(&run_dir()),
        deed => panic!("no deed `{deed}`"),
    }
    host.folder.clone()
}

/// Runs something in a child, which ends by `exit` as a program does.
pub(super) fn in_child(work: impl FnOnce()) {
    // SAFETY: what a child may do is what is tested.
    match unsafe { libc::fork() } {
        -1 => panic!("no fork"),
        0 => {
            work();
            std::process::exit(0)
        }
        child => {
            let ended = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(child), None);
            let is_good = matches!(ended, Ok(nix::sys::wait::WaitStatus::Exited(_, 0)));
            assert!(is_good, "the child ended with {ended:?}");
        }
    }
}

/// Runs something in a thread, as the deed has it. Tells whether the thread ended well.
pub(super) fn in_thread(deed: &str, work: impl FnOnce() + Send) -> bool {
    std::thread::scope(|scope| {
        let stack = if deed == "tiny stacks" { TINY_STACK } else { 1 << 20 };
        let builder = std::thread::Builder::new().stack_size(stack);
        builder.spawn_scoped(scope, work).expect("a thread").join().is_ok()
    })
}

fn close(number: i32) {
    // SAFETY: that a host closes what it does not know is what is tested.
    unsafe { libc::close(number) };
}

fn close_everything() {
    // SAFETY: as above.
    let failed = unsafe { libc::close_range(3, libc::c_uint::MAX, 0) } != 0;
    assert!(!failed, "no close_range");
}

fn dup2_over_everything(folder: &Path) {
    let path = folder.join("over");
    fs::write(&path, "over everything\n").expect("a file");
    let file = File::options().read(true).append(true).open(path).expect("a file");
    for number in 3..1024 {
        if number != file.as_raw_fd() {
            // SAFETY: as above.
            unsafe { libc::dup2(file.as_raw_fd(), number) };
        }
    }
    // Every second one, so that there is a place for other files as well.
    (3..1024).filter(|number| number % 2 == 0).for_each(close);
    std::mem::forget(file);
}

fn daemonise() {
    // SAFETY: the parent leaves at once, the child goes on as daemons do.
    match unsafe { libc::fork() } {
        -1 => panic!("no fork"),
        0 => {}
        // SAFETY: ends the parent without its exit handlers, as daemons do.
        _ => unsafe { libc::_exit(0) },
    }
    // SAFETY: a plain call.
    unsafe { libc::setsid() };
    std::env::set_current_dir("/").expect("the root");
    (0..NUMBERS).for_each(close);
    for _ in 0..3 {
        // SAFETY: the path is a text with its end.
        unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) };
    }
    tracing::info!("a daemon");
}

fn limit(resource: Resource, most: u64) {
    let (_, hard) = nix::sys::resource::getrlimit(resource).expect("a limit");
    setrlimit(resource, most.min(hard), hard).expect("a limit");
}

/// Leaves room for the host's own few files, which it opens afterwards.
fn no_more_descriptors() {
    let open = fs::read_dir("/proc/self/fd").expect("descriptors").count();
    limit(Resource::RLIMIT_NOFILE, open as u64 + 12);
}

fn chroot(folder: &Path) {
    let path = CString::new(folder.as_os_str().as_bytes()).expect("a path");
    // SAFETY: the path is a text with its end.
    let failed = unsafe { libc::chroot(path.as_ptr()) } != 0;
    assert!(!failed, "no chroot");
    std::env::set_current_dir("/").expect("the root");
}

fn mount_over(folder: &Path) {
    // SAFETY: a plain call.
    assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNS) }, 0, "no namespace");
    let none = std::ptr::null();
    let flags = libc::MS_REC | libc::MS_PRIVATE;
    // SAFETY: the paths are texts with their ends, and the call looks at nothing else.
    let private = unsafe { libc::mount(none, c"/".as_ptr(), none, flags, none.cast()) };
    let path = CString::new(folder.as_os_str().as_bytes()).expect("a path");
    let kind = c"tmpfs".as_ptr();
    // SAFETY: as above.
    let mounted = unsafe { libc::mount(kind, path.as_ptr(), kind, 0, none.cast()) };
    assert_eq!((private, mounted), (0, 0), "nothing was mounted");
}

/// Less room for addresses than a segment takes.
fn little_memory() {
    let pages = fs::read_to_string("/proc/self/statm").expect("the sizes");
    let pages: u64 = pages.split(' ').next().expect("a size").parse().expect("a number");
    limit(Resource::RLIMIT_AS, pages * 4096 + (14 << 20));
}

/// The user who owns nothing.
const NOBODY: u32 = 65_534;

fn become_nobody() {
    // SAFETY: a plain call.
    let failed = unsafe { libc::setuid(NOBODY) } != 0;
    assert!(!failed, "no setuid");
}
