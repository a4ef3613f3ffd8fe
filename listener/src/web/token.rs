//! The token: who can read its file may see the page.
//!
//! It is made anew at each start, lies in the run directory for the listener's user alone, and is
//! never part of a log, of the diagnostics or of the status.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Its name in the run directory.
pub(super) const FILE: &str = "web-token";

/// 256 bits: more than anybody can try.
const BYTES: usize = 32;

/// The secret, as hexadecimal digits.
pub(super) struct Token(String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(..)")
    }
}

impl Token {
    fn random() -> io::Result<Self> {
        // Not the generator of identities, which goes on by a weaker one where a sandbox has none.
        let mut bytes = [0; BYTES];
        File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        Ok(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// Whether somebody knows it. The time that this takes tells nothing of where they differ.
    pub(super) fn is(&self, told: &[u8]) -> bool {
        let own = self.0.as_bytes();
        let differing = own.iter().zip(told).fold(0, |bits, (own, told)| bits | (own ^ told));
        own.len() == told.len() && std::hint::black_box(differing) == 0
    }

    /// The digits, for the one place that shows them.
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

/// The token's file, which is removed with this.
#[derive(Debug)]
pub(super) struct TokenFile(PathBuf);

impl Drop for TokenFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Makes a token and its file. The run directory is owned: what lies there is a dead listener's.
pub(super) fn make(path: &Path) -> io::Result<(Token, TokenFile)> {
    let token = Token::random()?;
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // Created exclusively, so that nobody else's file or link is written into.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let token_file = TokenFile(path.to_owned());
    writeln!(file, "{}", token.0)?;
    Ok((token, token_file))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    #[test]
    fn a_token_is_itself_and_no_other() {
        let token = Token::random().unwrap();
        assert!(token.is(token.0.as_bytes()));
        assert_eq!(token.0.len(), 2 * BYTES);
        let mut wrong = token.0.clone();
        let last = if wrong.pop() == Some('0') { '1' } else { '0' };
        wrong.push(last);
        for told in [wrong.as_str(), "", &token.0[1..], &format!("{}0", token.0)] {
            assert!(!token.is(told.as_bytes()), "{told:?}");
        }
        assert!(!token.is(Token::random().unwrap().0.as_bytes()));
        assert!(!format!("{token:?}").contains(&token.0));
    }

    #[test]
    fn the_file_is_for_its_owner_alone_and_gone_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let (token, file) = make(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", token.0));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn a_dead_listeners_file_is_replaced_and_a_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join(FILE), folder.path().join("other"));
        fs::write(&other, "precious").unwrap();
        symlink(&other, &path).unwrap();
        let (_token, _file) = make(&path).unwrap();
        assert_eq!(fs::read_to_string(&other).unwrap(), "precious");
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
    }
}
