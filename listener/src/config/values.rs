//! The values that flags and the configuration file have in common, each with one parser, so that
//! both take the same texts and refuse the others with the same words.

use std::net::SocketAddr;
use std::time::Duration;

use nix::unistd::{Gid, Group, Uid, User};

use crate::format::TimeZoneChoice;
use crate::options::{Address, Period, Sync};

/// The clock of the time in a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Timezone {
    /// Coordinated universal time: it never jumps and sorts everywhere.
    #[default]
    Utc,
    /// The host's local time, with its offset.
    Local,
}

impl From<Timezone> for TimeZoneChoice {
    fn from(timezone: Timezone) -> Self {
        match timezone {
            Timezone::Utc => Self::Utc,
            Timezone::Local => Self::Local,
        }
    }
}

/// Why a value was refused, and what was expected.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(String);

fleetlog_protocol::debug_as_display!(Refused);

/// Reads a duration: whole numbers with units, `500ms`, `30s`, `5m`, `1h30m`, `7d`.
///
/// # Errors
/// [`Refused`], for a number without a unit too: its reader and its writer would differ.
///
/// ```
/// use std::time::Duration;
/// assert_eq!(fleetlog::config::duration("1m30s").unwrap(), Duration::from_secs(90));
/// assert!(fleetlog::config::duration("30").is_err());
/// ```
pub fn duration(text: &str) -> Result<Duration, Refused> {
    let refused = |why: &str| {
        Err(Refused(format!("{why}: expected a duration such as 500ms, 30s, 5m or 1h30m")))
    };
    let mut rest = text.trim();
    if rest.is_empty() {
        return refused("it is empty");
    }
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, behind) = rest.split_at(digits);
        let behind = behind.trim_start();
        let letters = behind.len() - behind.trim_start_matches(|c: char| c.is_alphabetic()).len();
        let (unit, behind) = behind.split_at(letters);
        let Ok(number) = number.parse::<u64>() else {
            return refused(if digits == 0 { "a number is missing" } else { "it is too long" });
        };
        let milliseconds = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "" => return refused("its unit is missing"),
            _ => return refused(&format!("`{unit}` is not a unit")),
        };
        let part = number.checked_mul(milliseconds).map(Duration::from_millis);
        let Some(longer) = part.and_then(|part| sum.checked_add(part)) else {
            return refused("it is too long");
        };
        sum = longer;
        rest = behind.trim_start();
    }
    Ok(sum)
}

/// Reads the address of a page: a port of this host, `8080`, or an address in full,
/// `127.0.0.1:8080` or `[::1]:8080`. Port 0 is any free one.
///
/// # Errors
/// [`Refused`], for a Unix socket too: browsers can't open one.
///
/// ```
/// assert_eq!(fleetlog::config::web_address("8080").unwrap().to_string(), "127.0.0.1:8080");
/// assert!(fleetlog::config::web_address("example.org:8080").is_err());
/// ```
pub fn web_address(text: &str) -> Result<SocketAddr, Refused> {
    match text.parse() {
        Ok(Address::Tcp(address)) => Ok(address),
        _ => Err(Refused(format!(
            "{text:?} is no address of a page: expected a port of this host such as 8080, or an \
             address in full such as 127.0.0.1:8080 or [::1]:8080"
        ))),
    }
}

/// Reads a number of bytes: `4096`, `512K`, `100M`, `5G`, `1T`. The units are powers of 1024, as
/// in logrotate and docker, `100MiB` says the same, and `100MB` is 100,000,000.
///
/// # Errors
/// [`Refused`].
///
/// ```
/// assert_eq!(fleetlog::config::size("100M").unwrap(), 100 << 20);
/// assert!(fleetlog::config::size("much").is_err());
/// ```
pub fn size(text: &str) -> Result<u64, Refused> {
    let refused = |why: &str| Refused(format!("{why}: expected a size such as 512K, 100M or 5G"));
    match fleetlog_protocol::size::parse(text) {
        Ok(0) => Err(refused("no bytes at all are no log")),
        Ok(bytes) => Ok(bytes),
        Err(error) => Err(refused(&error.to_string())),
    }
}

/// Reads a period of rotation: `never`, `minutely`, `hourly`, `daily` or `weekly`.
///
/// # Errors
/// [`Refused`].
///
/// ```
/// use fleetlog::options::Period;
/// assert_eq!(fleetlog::config::rotation("daily").unwrap(), Some(Period::Daily));
/// assert_eq!(fleetlog::config::rotation("never").unwrap(), None);
/// ```
pub fn rotation(text: &str) -> Result<Option<Period>, Refused> {
    match text {
        "never" => Ok(None),
        "minutely" => Ok(Some(Period::Minutely)),
        "hourly" => Ok(Some(Period::Hourly)),
        "daily" => Ok(Some(Period::Daily)),
        "weekly" => Ok(Some(Period::Weekly)),
        _ => Err(Refused("expected never, minutely, hourly, daily or weekly".to_owned())),
    }
}

/// Reads a group: its name or its number.
///
/// # Errors
/// [`Refused`] for a name that the system does not know.
///
/// ```
/// assert_eq!(fleetlog::config::group("0").unwrap().as_raw(), 0);
/// assert!(fleetlog::config::group("no-such-group").is_err());
/// ```
pub fn group(text: &str) -> Result<Gid, Refused> {
    if let Ok(number) = text.parse() {
        return Ok(Gid::from_raw(number));
    }
    match Group::from_name(text) {
        Ok(Some(group)) => Ok(group.gid),
        _ => Err(Refused("this system has no such group: expected a name or a number".to_owned())),
    }
}

/// Reads a user: its name or its number.
///
/// # Errors
/// [`Refused`] for a name that the system does not know.
///
/// ```
/// assert_eq!(fleetlog::config::user("root").unwrap().as_raw(), 0);
/// assert!(fleetlog::config::user("no-such-user").is_err());
/// ```
pub fn user(text: &str) -> Result<Uid, Refused> {
    if let Ok(number) = text.parse() {
        return Ok(Uid::from_raw(number));
    }
    match User::from_name(text) {
        Ok(Some(user)) => Ok(user.uid),
        _ => Err(Refused("this system has no such user: expected a name or a number".to_owned())),
    }
}

/// Reads the interval of a rate: a [`duration`] that is not nothing.
///
/// # Errors
/// [`Refused`].
///
/// ```
/// use std::time::Duration;
/// assert_eq!(fleetlog::config::interval("30s").unwrap(), Duration::from_secs(30));
/// assert!(fleetlog::config::interval("0s").is_err());
/// ```
pub fn interval(text: &str) -> Result<Duration, Refused> {
    match duration(text)? {
        Duration::ZERO => Err(Refused(
            "an interval takes some time: expected a duration such as 1s or 30s".to_owned(),
        )),
        interval => Ok(interval),
    }
}

/// Reads permission bits in octal: `0640`, `640` or `0o640`.
///
/// # Errors
/// [`Refused`]; also for bits that would lock the listener out of its own files, and for the
/// bits above 0777, which mean nothing here.
///
/// ```
/// assert_eq!(fleetlog::config::mode("0640").unwrap(), 0o640);
/// assert!(fleetlog::config::mode("0940").is_err());
/// ```
pub fn mode(text: &str) -> Result<u32, Refused> {
    const EXPECTED: &str = "expected octal permission bits such as 0640";
    let digits = text.strip_prefix("0o").unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|digit| matches!(digit, b'0'..=b'7')) {
        return Err(Refused(format!("it is not an octal number: {EXPECTED}")));
    }
    match u32::from_str_radix(digits, 8) {
        Ok(mode) if mode > 0o777 => {
            Err(Refused(format!("it has bits above 0777, which mean nothing here: {EXPECTED}")))
        }
        Ok(mode) if mode & 0o600 != 0o600 => Err(Refused(format!(
            "the owner must be able to read and write (0600), or the listener locks itself out: \
             {EXPECTED}"
        ))),
        Ok(mode) => Ok(mode),
        Err(_) => Err(Refused(format!("it is too long: {EXPECTED}"))),
    }
}

/// Reads how far a loss of power is covered: `never`, `always`, or a duration.
///
/// # Errors
/// [`Refused`].
///
/// ```
/// use fleetlog::options::Sync;
/// use std::time::Duration;
/// assert_eq!(fleetlog::config::sync("1s").unwrap(), Sync::Every(Duration::from_secs(1)));
/// assert!(fleetlog::config::sync("often").is_err());
/// ```
pub fn sync(text: &str) -> Result<Sync, Refused> {
    match text {
        "never" => Ok(Sync::Never),
        "always" => Ok(Sync::Always),
        _ => match duration(text) {
            Ok(Duration::ZERO) => {
                Err(Refused("no time at all between two syncs is `always`".to_owned()))
            }
            Ok(every) => Ok(Sync::Every(every)),
            Err(_) => Err(Refused(
                "expected never, always, or the longest time between two syncs such as 1s"
                    .to_owned(),
            )),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_sums_of_numbers_with_units() {
        for (text, milliseconds) in [
            ("500ms", 500),
            ("30s", 30_000),
            ("5m", 300_000),
            ("5min", 300_000),
            ("1h30m", 5_400_000),
            ("1h 30m", 5_400_000),
            ("30 s", 30_000),
            ("2d", 172_800_000),
            ("0s", 0),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
    }

    #[test]
    fn a_bad_duration_is_refused_with_what_was_expected() {
        for (text, why) in [
            ("", "empty"),
            ("30", "unit is missing"),
            ("s", "number is missing"),
            ("-1s", "number is missing"),
            ("1.5s", "unit is missing"),
            ("5 parsecs", "`parsecs` is not a unit"),
            ("5parsecs", "`parsecs` is not a unit"),
            ("99999999999999999999s", "too long"),
            ("9999999999999999999d", "too long"),
        ] {
            let said = duration(text).unwrap_err().to_string();
            assert!(said.contains(why) && said.contains("such as 500ms"), "{text}: {said}");
        }
    }

    #[test]
    fn sizes_have_units_of_1024_unless_they_say_otherwise() {
        for (text, bytes) in [
            ("1", 1),
            ("4096", 4096),
            ("10k", 10 << 10),
            ("10 K", 10 << 10),
            ("100M", 100 << 20),
            ("100MiB", 100 << 20),
            ("100MB", 100_000_000),
            ("5G", 5 << 30),
            ("2T", 2 << 40),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for (text, why) in [
            ("", "number is missing"),
            ("M", "number is missing"),
            ("-1", "number is missing"),
            ("0", "no bytes"),
            ("1.5G", "not a unit"),
            ("5X", "`x` is not a unit"),
            ("99999999999T", "too large"),
        ] {
            let said = size(text).unwrap_err().to_string().to_ascii_lowercase();
            assert!(said.contains(why) && said.contains("such as"), "{text}: {said}");
        }
    }

    #[test]
    fn modes_are_octal_in_every_spelling() {
        for text in ["640", "0640", "0o640", "00640"] {
            assert_eq!(mode(text), Ok(0o640), "{text}");
        }
    }

    #[test]
    fn a_bad_mode_is_refused_with_the_reason() {
        for (text, why) in [
            ("", "not an octal"),
            ("0o", "not an octal"),
            ("0690", "not an octal"),
            ("rw-r-----", "not an octal"),
            ("+640", "not an octal"),
            ("1777", "above 0777"),
            ("0440", "locks itself out"),
            ("77777777777777777777", "too long"),
        ] {
            let said = mode(text).unwrap_err().to_string();
            assert!(said.contains(why), "{text}: {said}");
        }
    }

    #[test]
    fn sync_is_never_always_or_a_time() {
        assert_eq!(sync("never"), Ok(Sync::Never));
        assert_eq!(sync("always"), Ok(Sync::Always));
        assert_eq!(sync("250ms"), Ok(Sync::Every(Duration::from_millis(250))));
        assert!(sync("0s").unwrap_err().to_string().contains("`always`"));
        assert!(sync("often").unwrap_err().to_string().contains("never, always"));
    }
}
