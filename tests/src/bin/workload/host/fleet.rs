//! A host that goes to another folder and then has a fleet, one worker of which is another program.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use fleetlog_worker::Fleet;

use crate::arguments::Arguments;
use crate::setup::{Setup, run_dir};

pub(crate) fn run(arguments: &mut Arguments) {
    let setup = Setup::from(&mut *arguments);
    let records: u64 = arguments.take("records", 100);
    setup.install();
    std::env::set_current_dir("/").expect("the root");
    let mut fleet = Fleet::new(run_dir()).expect("a fleet");
    let work = move || {
        for n in 0..records {
            tracing::info!(source = "forked", n, "from a child");
        }
    };
    fleet.spawn("worker 0", work).expect("a fork");
    let execute = move || -> Result<(), std::io::Error> {
        let program = std::env::current_exe().expect("this program");
        let records = records.to_string();
        let mut command = Command::new(program);
        Err(command.args(["exec", "--source", "executed", "--records", &records]).exec())
    };
    fleet.spawn("worker 1", execute).expect("a fork");
    let report = fleet.join().expect("all workers");
    assert!(report.is_success(), "{report:?}");
}
