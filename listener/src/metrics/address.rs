//! Where metrics are served.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

/// An address to serve HTTP on.
///
/// A port alone is on the loopback interface, for nobody but this host; any other interface must be
/// said in full. A Unix socket is for the listener's own user.
///
/// ```
/// use fleetlog::options::Address;
/// let address: Address = "9102".parse().unwrap();
/// assert_eq!(address.to_string(), "127.0.0.1:9102");
/// assert!(address.is_local());
/// assert!(!"0.0.0.0:9102".parse::<Address>().unwrap().is_local());
/// assert_eq!("unix:/run/apps/metrics".parse::<Address>().unwrap().to_string(), "unix:/run/apps/metrics");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A TCP address; port 0 lets the system choose.
    Tcp(SocketAddr),
    /// The path of a Unix stream socket.
    Unix(PathBuf),
}

/// The text names no address.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no address: expected a port such as 9102 (on this host only), an IP address with a \
     port such as 127.0.0.1:9102 or [::1]:9102, or unix:/path/of/a/socket"
)]
pub struct AddressError(String);

fleetlog_protocol::debug_as_display!(AddressError);

impl Address {
    /// Whether nobody on another host can reach it.
    #[must_use]
    pub const fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let text = text.trim();
        if let Some(path) = text.strip_prefix("unix:") {
            return match path {
                "" => Err(AddressError(text.to_owned())),
                path => Ok(Self::Unix(path.into())),
            };
        }
        let port = text.strip_prefix(':').or_else(|| text.strip_prefix("localhost:"));
        if let Ok(port) = port.unwrap_or(text).parse() {
            return Ok(Self::Tcp(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)));
        }
        text.parse().map(Self::Tcp).map_err(|_| AddressError(text.to_owned()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_a_port_alone_is_this_hosts() {
        for (text, shown) in [
            ("9102", "127.0.0.1:9102"),
            (":9102", "127.0.0.1:9102"),
            ("localhost:9102", "127.0.0.1:9102"),
            ("127.0.0.1:0", "127.0.0.1:0"),
            ("[::1]:9102", "[::1]:9102"),
            ("10.1.2.3:9102", "10.1.2.3:9102"),
            ("unix:/run/x", "unix:/run/x"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), shown);
        }
        for text in ["", "unix:", "example.org:80", "127.0.0.1", "70000", "9102/metrics"] {
            let said = text.parse::<Address>().unwrap_err().to_string();
            assert!(said.contains("expected a port"), "{said}");
        }
    }
}
