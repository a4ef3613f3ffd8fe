//! `fleetlog completions`: what a shell needs to complete the command line.

use super::exit::{Code, Failure};
use super::flags::{definition, examples};
use super::screen::Screen;

/// Print the completions for a shell
#[derive(clap::Args, Debug)]
#[command(after_help = examples(&[
    ("For bash, now", "source <(fleetlog completions bash)"),
    ("For zsh, from the next shell on",
     "fleetlog completions zsh > \"${fpath[1]}/_fleetlog\""),
    ("For fish", "fleetlog completions fish > ~/.config/fish/completions/fleetlog.fish"),
]))]
pub(super) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

impl Completions {
    pub(super) fn run(&self, screen: &mut Screen) -> Result<Code, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut definition(), "fleetlog", &mut script);
        screen.bytes(&script);
        Ok(Code::Done)
    }
}
