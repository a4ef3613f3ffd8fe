//! Sizes as people write them, in flags, files and the environment alike.

/// A text that is no size.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SizeError {
    /// It does not begin with a digit.
    #[error("a number is missing")]
    NoNumber,
    /// Something else follows the number.
    #[error("`{0}` is not a unit")]
    NoUnit(String),
    /// It has more bytes than can be counted.
    #[error("it is too large")]
    TooLarge,
}

crate::debug_as_display!(SizeError);

/// Reads a number of bytes: `4096`, `512K`, `100M`, `5G`, `1T`. The units are powers of 1024, as in
/// logrotate and docker, `100MiB` says the same, and `100MB` is 100,000,000.
///
/// # Errors
/// [`SizeError`].
///
/// ```
/// assert_eq!(fleetlog_protocol::size::parse("16M"), Ok(16 << 20));
/// assert!(fleetlog_protocol::size::parse("much").is_err());
/// ```
pub fn parse(text: &str) -> Result<u64, SizeError> {
    let text = text.trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    if digits == 0 {
        return Err(SizeError::NoNumber);
    }
    let (power, base) = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => (0, 1024),
        "k" | "kib" => (1, 1024),
        "m" | "mib" => (2, 1024),
        "g" | "gib" => (3, 1024),
        "t" | "tib" => (4, 1024),
        "kb" => (1, 1000),
        "mb" => (2, 1000),
        "gb" => (3, 1000),
        "tb" => (4, 1000),
        _ => return Err(SizeError::NoUnit(unit.trim().to_owned())),
    };
    let bytes = number.parse::<u64>().ok().and_then(|n| n.checked_mul(u64::pow(base, power)));
    bytes.ok_or(SizeError::TooLarge)
}
