//! Heads: what stands between a line's timestamp and its event, `  INFO worker 3[1234] my_app::job: `.
//!
//! A head is the same for every record of one worker and callsite. It is escaped and printed once,
//! kept in a small table, and compared with the line before it is used again, so that a worker
//! that changes its name gets its new one.

use fleetlog_protocol::Level;

use super::escape::put_bare;
use super::number::put_u64;
use super::{Line, Origin};

/// Heads that are kept: a power of two, enough for the callsites that a fleet logs from in turns.
const KEPT: usize = 64;

/// Longer names and targets are printed each time: nobody may fill the memory with them.
const LENGTH_MAX: usize = 256;

#[derive(Debug, Default)]
pub(super) struct Head {
    level: Option<Level>,
    origin: Origin,
    pid: u32,
    worker: String,
    target: String,
    /// The head, and where in it the target begins.
    text: Vec<u8>,
    target_at: usize,
}

impl Head {
    fn fits(&self, line: &Line<'_>) -> bool {
        self.pid == line.pid
            && self.level == Some(line.record.level)
            && self.origin == line.origin
            && self.worker == line.worker
            && self.target == line.callsite.target
    }

    fn print(&mut self, line: &Line<'_>) {
        self.level = Some(line.record.level);
        self.origin = line.origin;
        self.pid = line.pid;
        self.worker.clear();
        self.worker.push_str(line.worker);
        self.target.clone_from(&line.callsite.target);
        let out = &mut self.text;
        out.clear();
        out.extend_from_slice(match (line.origin, line.record.level) {
            (Origin::Client, Level::Error) => b" ERROR ",
            (Origin::Client, Level::Warn) => b"  WARN ",
            (Origin::Client, Level::Info) => b"  INFO ",
            (Origin::Client, Level::Debug) => b" DEBUG ",
            (Origin::Client, Level::Trace) => b" TRACE ",
            (Origin::Listener, Level::Error) => b" *ERROR ",
            (Origin::Listener, Level::Warn) => b" *WARN ",
            (Origin::Listener, Level::Info) => b" *INFO ",
            (Origin::Listener, Level::Debug) => b" *DEBUG ",
            (Origin::Listener, Level::Trace) => b" *TRACE ",
        });
        put_bare(line.worker, out);
        out.push(b'[');
        put_u64(u64::from(line.pid), out);
        out.extend_from_slice(b"] ");
        self.target_at = out.len();
        put_bare(&line.callsite.target, out);
        out.extend_from_slice(b": ");
    }

    /// Level and worker, with a space behind them.
    pub(super) fn worker(&self) -> &[u8] {
        &self.text[..self.target_at]
    }

    /// The target, with a colon and a space behind it.
    pub(super) fn target(&self) -> &[u8] {
        &self.text[self.target_at..]
    }

    /// Both.
    pub(super) fn whole(&self) -> &[u8] {
        &self.text
    }
}

/// The heads of the last lines.
#[derive(Debug)]
pub(super) struct Heads {
    kept: Box<[Head]>,
    /// The last place is for heads that are too long to be kept.
    long: Head,
}

impl Heads {
    pub(super) fn new() -> Self {
        Self { kept: (0..KEPT).map(|_| Head::default()).collect(), long: Head::default() }
    }

    /// The head of a line.
    #[inline]
    pub(super) fn of(&mut self, line: &Line<'_>) -> &Head {
        let head = &mut self.kept[place(line)];
        if head.fits(line) {
            return head;
        }
        if line.worker.len() + line.callsite.target.len() > LENGTH_MAX {
            self.long = Head::default();
            self.long.print(line);
            return &self.long;
        }
        head.print(line);
        head
    }
}

/// Where a line's head is kept. A callsite's address only spreads the heads; whether one fits is
/// never told by it.
#[inline]
fn place(line: &Line<'_>) -> usize {
    let callsite = std::ptr::from_ref(line.callsite).addr() / align_of_val(line.callsite);
    let mixed = (callsite as u64 ^ u64::from(line.pid)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    // The upper bits of a product depend on all bits of its factors.
    usize::try_from(mixed >> (u64::BITS - KEPT.ilog2())).unwrap_or(0) % KEPT
}

#[cfg(test)]
mod tests {
    use fleetlog_protocol::callsite::Callsite;
    use fleetlog_protocol::record::{FieldName, Record, RecordEncoder};

    use super::*;

    #[test]
    fn a_head_is_its_lines_own_whatever_was_kept_before() {
        let mut bytes = Vec::new();
        let mut encoder = RecordEncoder::new(&mut bytes, Level::Info, 1024);
        let mut fields = encoder.fields();
        fields.bool(FieldName::Index(0), true);
        let (count, missing) = (fields.count(), fields.missing());
        encoder.finish(1, count, missing);
        let mut record = Record::decode(&bytes).unwrap();
        let mut callsite = Callsite {
            level: Level::Info,
            target: String::new(),
            name: String::new(),
            file: None,
            line: None,
            module_path: None,
            fields: vec!["yes".to_owned()],
        };
        let mut heads = Heads::new();
        let long = "t".repeat(LENGTH_MAX);
        // One callsite and one pid: all of these meet in one place of the table.
        for _ in 0..2 {
            for (level, word) in [(Level::Info, " INFO"), (Level::Error, "ERROR")] {
                for worker in ["a", "a\nb", ""] {
                    for target in ["app", "", &long] {
                        record.level = level;
                        callsite.target.replace_range(.., target);
                        let line = Line {
                            record: &record,
                            callsite: &callsite,
                            worker,
                            pid: 7,
                            lane: 0,
                            time: 0,
                            repeats: &[],
                            origin: Origin::Client,
                        };
                        let head = heads.of(&line);
                        let worker = worker.replace('\n', "\\n");
                        let label = format!(" {word} {worker}[7] ");
                        assert_eq!(head.worker(), label.as_bytes());
                        assert_eq!(head.target(), format!("{target}: ").as_bytes());
                        assert_eq!(head.whole(), [head.worker(), head.target()].concat());
                    }
                }
            }
        }
    }
}
