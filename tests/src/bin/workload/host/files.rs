//! The files of a host, which nobody but the host may change.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

/// So many that they stand at every number that was ever somebody else's.
const FILES: usize = 700;

pub(crate) struct OwnFiles {
    folder: PathBuf,
    files: Vec<File>,
}

fn text(number: usize) -> String {
    format!("own file {number}\n")
}

impl OwnFiles {
    /// Opens files until there are enough, or until the process may have no more.
    pub(crate) fn open(folder: &Path) -> Self {
        let folder = folder.join("own");
        fs::create_dir(&folder).expect("a folder of its own");
        let mut files = Vec::new();
        for number in 0..FILES {
            let path = folder.join(number.to_string());
            let opened = OpenOptions::new().read(true).write(true).create_new(true).open(&path);
            let Ok(mut file) = opened else { break };
            file.write_all(text(number).as_bytes()).expect("a text");
            files.push(file);
        }
        // Something is left for the program itself.
        for _ in 0..8.min(files.len() / 2) {
            files.pop();
        }
        Self { folder, files }
    }

    /// Prints a line, wherever standard output is by now. If that is one of the files, it is what
    /// the host wanted.
    #[allow(clippy::print_stdout, reason = "a host prints as programs do")]
    pub(crate) fn print(&self) {
        println!("the host prints");
    }

    pub(crate) fn demand_unchanged(mut self) {
        let printed = "the host prints\n";
        for (number, file) in self.files.iter_mut().enumerate() {
            file.rewind().expect("its beginning");
            let mut found = String::new();
            file.read_to_string(&mut found).expect("its text");
            let own = text(number);
            let is_whole = found == own || found == own.clone() + printed;
            assert!(is_whole, "{}/{number} holds {found:?}", self.folder.display());
        }
        assert!(!self.files.is_empty(), "there was no file that could have been harmed");
    }
}
