//! The functions that a pickle calls to take a machine over, and no logger calls ever.
//!
//! Nothing is called here either way. The list exists so that an attack is refused with its name
//! instead of being kept as a curious field: it needs to know the usual suspects and is no wall.

/// Whose functions act on the machine, load code, or run it.
const MODULES: [&str; 39] = [
    "_io",
    "_pickle",
    "_posixsubprocess",
    "_thread",
    "bdb",
    "cPickle",
    "cProfile",
    "cffi",
    "cloudpickle",
    "code",
    "codeop",
    "commands",
    "ctypes",
    "dill",
    "gc",
    "imp",
    "importlib",
    "io",
    "marshal",
    "multiprocessing",
    "nt",
    "os",
    "pdb",
    "pickle",
    "pip",
    "pkgutil",
    "popen2",
    "posix",
    "profile",
    "pty",
    "pydoc",
    "runpy",
    "shutil",
    "signal",
    "socket",
    "subprocess",
    "sys",
    "timeit",
    "webbrowser",
];

/// What those modules have that is only data: the results and numbers that end up in an `extra`.
const DATA: [(&str, &str); 17] = [
    ("_io", "BytesIO"),
    ("_io", "StringIO"),
    ("io", "BytesIO"),
    ("io", "StringIO"),
    ("os", "sched_param"),
    ("os", "stat_result"),
    ("os", "statvfs_result"),
    ("os", "terminal_size"),
    ("os", "times_result"),
    ("os", "uname_result"),
    ("signal", "Handlers"),
    ("signal", "Signals"),
    ("socket", "AddressFamily"),
    ("socket", "SocketKind"),
    ("socket", "timeout"),
    ("subprocess", "CompletedProcess"),
    ("subprocess", "TimeoutExpired"),
];

/// The functions of `builtins` that load or run code.
const BUILTINS: [&str; 11] = [
    "__import__",
    "breakpoint",
    "compile",
    "eval",
    "exec",
    "execfile",
    "file",
    "input",
    "open",
    "raw_input",
    "reload",
];

/// Attributes through which any function leads to every other.
const DOORS: [&str; 4] = ["__builtins__", "__globals__", "__import__", "__subclasses__"];

/// Whether calling the function could do more than make a value.
pub(super) fn is_dangerous(module: &str, name: &str) -> bool {
    let package = module.split('.').next().unwrap_or(module);
    let last = name.rsplit('.').next().unwrap_or(name);
    // A dotted name walks through attributes: `os.system` in `logging` is the one in `os`.
    let walks = name.split('.').rev().skip(1).any(|step| MODULES.contains(&step));
    if name.split('.').any(|step| DOORS.contains(&step)) {
        return true;
    }
    if MODULES.contains(&package) || walks {
        // Exceptions are logged often, and those of such a module are as harmless as others.
        // Python 2's own are in lower case, and so is `socket.gaierror` to this day.
        let is_exception = ["Error", "error", "Exception"].iter().any(|end| last.ends_with(end));
        return !(is_exception || DATA.contains(&(module, name)));
    }
    match package {
        "builtins" => BUILTINS.contains(&last),
        "types" => matches!(name, "CodeType" | "FunctionType"),
        _ => false,
    }
}

/// Whether the function calls, or makes an object of, what it is given.
pub(super) fn passes_calls_on(module: &str, name: &str) -> bool {
    match module {
        "builtins" => matches!(name, "apply" | "filter" | "getattr" | "map"),
        "copyreg" | "operator" | "_operator" => true,
        _ => false,
    }
}
