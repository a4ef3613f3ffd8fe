//! `fleetlog man`: the manual pages.

use std::io;
use std::path::PathBuf;

use super::exit::{Code, Failure};
use super::flags::{definition, examples};
use super::screen::Screen;

/// Print the manual page, or write the pages of all commands
#[derive(clap::Args, Debug)]
#[command(after_help = examples(&[
    ("Read it", "fleetlog man | man -l -"),
    ("Install the pages of all commands", "fleetlog man --out /usr/local/share/man/man1"),
]))]
pub(super) struct Man {
    /// Write a page for each command into this folder
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    out: Option<PathBuf>,
}

impl Man {
    pub(super) fn run(&self, screen: &mut Screen) -> Result<Code, Failure> {
        let failed = |error: io::Error| Failure::failed("the manual can't be made", error);
        let mut all = definition().disable_version_flag(false);
        all.build();
        let Some(folder) = &self.out else {
            screen.bytes(&page(&all).map_err(failed)?);
            return Ok(Code::Done);
        };
        let refused = |path: &PathBuf, error: io::Error| {
            let what = format!("{} can't be written", path.display());
            Failure::failed(what, format_args!("{error}; name another folder with --out"))
        };
        std::fs::create_dir_all(folder).map_err(|error| refused(folder, error))?;
        for command in std::iter::once(&all).chain(all.get_subcommands()) {
            let name = command.get_display_name().unwrap_or_else(|| command.get_name());
            let path = folder.join(format!("{name}.1"));
            std::fs::write(&path, page(command).map_err(failed)?)
                .map_err(|error| refused(&path, error))?;
            screen.note(path.display());
        }
        Ok(Code::Done)
    }
}

/// A page: clap's own sections, and the examples with their lines as they stand.
fn page(command: &clap::Command) -> io::Result<Vec<u8>> {
    let version = format!("fleetlog {}", env!("CARGO_PKG_VERSION"));
    let man = clap_mangen::Man::new(command.clone()).source(version).manual("fleetlog");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    if let Some(examples) = command.get_after_help() {
        page.extend_from_slice(b".SH EXAMPLES\n.nf\n");
        for line in examples.to_string().lines().skip(1) {
            page.extend_from_slice(roff_line(line).as_bytes());
        }
        page.extend_from_slice(b".fi\n");
    }
    page.extend_from_slice(CLOSING.as_bytes());
    Ok(page)
}

/// What holds for every command.
const CLOSING: &str = ".SH ENVIRONMENT
.TP
FLEETLOG_RUN_DIR
The run directory, where \\-\\-run\\-dir does not name one.
.TP
FLEETLOG_CONFIG
The configuration file, where \\-\\-config does not name one.
.TP
NO_COLOR
No colors, where \\-\\-color does not ask for them.
.SH \"EXIT STATUS\"
.TP
0
Done.
.TP
1
Failed.
.TP
2
The command line or the configuration file is wrong.
.TP
3
No listener lives in the run directory, or another one owns it; its pid is named.
.TP
4
The time was over; what is left, or how far it came, is told.
";

/// A line that roff shows as it is: its escape character, and a dot or quote at its start, would
/// be commands.
fn roff_line(line: &str) -> String {
    let escaped = line.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq");
    format!("\\&{escaped}\n")
}
