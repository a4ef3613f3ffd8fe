//! Scribbles: a worker that writes nonsense into its own segment, after some honest records.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::time::Duration;

use fleetlog_protocol::lane_queue::{Lanes, LanesConfig};
use fleetlog_protocol::level::Level;
use fleetlog_protocol::limits::LANE_RECORD_MAX;
use fleetlog_protocol::record::RecordEncoder;
use fleetlog_protocol::run_dir::socket_path;
use fleetlog_protocol::segment::LANES;
use fleetlog_protocol::socket_queue::{CallsiteOf, LinkNumber, WhenFull};
use fleetlog_tests::Random;

use crate::arguments::Arguments;
use crate::setup::run_dir;

/// Where the first lane's bytes and its words begin (`docs/segment-format.md`).
const FIRST_LANE: u64 = 1_077_248;
const FIRST_WORDS: u64 = 4096;

static LINK: LinkNumber = LinkNumber::new();
static FILE: LinkNumber = LinkNumber::new();

/// What of the first lane has space, so that it was ever stored to.
const FIRST_SPACE: u64 = 16 << 10;

/// The honest records before.
const HONEST: u64 = 50;

/// Nonsense that one enemy writes.
const SCRIBBLES: u64 = 400;

pub(crate) fn run(arguments: &mut Arguments) {
    let how = arguments.take("how", "bytes".to_owned());
    let mut random = Random::of(arguments.take("seed", 0_u64));
    let run_dir = run_dir();
    let lanes = Lanes::create(LanesConfig {
        run_dir: run_dir.clone(),
        socket: socket_path(&run_dir).expect("a short path"),
        when_full: WhenFull::DropNewest,
        lane_max: 0,
        name: format!("enemy with {how}"),
        link_number: &LINK,
        file_number: &FILE,
    })
    .expect("a segment");
    let mut queue = lanes.claim().expect("room").expect("a lane");
    let mut record = Vec::new();
    let mut log = |lanes: &Lanes| {
        RecordEncoder::new(&mut record, Level::Info, LANE_RECORD_MAX).finish(1, 0, 0);
        let _ = queue.record(lanes, &mut record, false, CallsiteOf::Inline);
    };
    for _ in 0..HONEST {
        log(&lanes);
    }
    let file = own_file(&run_dir);
    let length = FIRST_LANE + FIRST_SPACE;
    match how.as_str() {
        // Anywhere: words, table and records.
        "bytes" => {
            for _ in 0..SCRIBBLES {
                let (at, size) = (random.below(length), random.index(64));
                scribble(&file, at, size, &mut random);
                lanes.ring();
            }
        }
        // The words alone, where a byte does the most harm.
        "words" => {
            for _ in 0..SCRIBBLES {
                let at = 128 + random.below(4096 + 3 * 384);
                scribble(&file, at, 8, &mut random);
                lanes.ring();
            }
        }
        // Frames of hostile lengths behind an honest head.
        "lengths" => {
            for round in 0..SCRIBBLES {
                let at = FIRST_LANE + random.below(1024);
                scribble(&file, at, 8, &mut random);
                file.write_all_at(&(1 + 977 * round).to_le_bytes(), FIRST_WORDS).expect("a head");
                lanes.ring();
            }
        }
        // The file is cut short while the listener has it mapped, and nothing of it is touched
        // here any more.
        "truncate" => {
            file.set_len(random.below(length)).expect("a shorter file");
            for _ in 0..20 {
                lanes.ring();
                std::thread::sleep(Duration::from_millis(2));
            }
            file.set_len(0).expect("an empty file");
            lanes.ring();
        }
        other => panic!("no scribble `{other}`"),
    }
    lanes.ring();
    // SAFETY: the process ends at once: what it mapped must not be touched by a destructor.
    unsafe { libc::_exit(0) }
}

fn own_file(run_dir: &std::path::Path) -> File {
    let own = format!("{}.", std::process::id());
    let mut found: Vec<PathBuf> = std::fs::read_dir(run_dir.join(LANES))
        .expect("the folder of lanes")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&own))
        })
        .collect();
    let path = found.pop().expect("a segment of this process");
    OpenOptions::new().read(true).write(true).open(path).expect("the segment")
}

fn scribble(file: &File, at: u64, length: usize, random: &mut Random) {
    file.write_all_at(&random.bytes(length), at).expect("a scribble");
}
