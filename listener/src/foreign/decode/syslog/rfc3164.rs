//! RFC 3164 and what is sent in its name: `<34>Oct 11 22:14:15 mymachine su[12]: message`.
//!
//! The RFC describes a habit, and every part but the priority is left out by somebody:
//! syslog(3) sends no host, Python's `SysLogHandler` no header at all, devices no tag. So each
//! part is taken where it looks like itself and left in the content where it doesn't.
//!
//! Promises that the [`Parts`] are slices of the message in its order, between which only spaces
//! and colons are left out.
//! Never takes a part of a message without a priority: RFC 3164, 4.3.3 has it as one content.

use std::net::Ipv6Addr;

use super::super::super::entry::{Entry, Value};
use super::priority::Priority;
use super::time::Stamp;
use super::{Now, pid, text, token};

/// Decodes a message.
pub(super) fn decode<'a>(message: &'a [u8], now: &Now) -> Entry<'a> {
    let parts = Parts::of(message);
    let priority = Priority { facility: parts.facility, severity: parts.severity };
    let mut entry = priority.entry(text(parts.message()));
    if let Some(stamp) = parts.timestamp {
        entry.time = stamp.claim(now);
        if entry.time.is_none() {
            entry.field("timestamp", Value::Str(text(stamp.text)));
        }
    }
    entry.host = parts.host.map(text);
    entry.target = parts.tag.map(text).unwrap_or_default();
    entry.pid = parts.pid.and_then(pid);
    if let Some(process) = parts.pid.filter(|_| entry.pid.is_none()) {
        entry.field("procid", Value::Str(text(process)));
    }
    entry
}

/// A message in the RFC's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parts<'a> {
    /// The facility, of [`Priority::DEFAULT`] where the message has none.
    pub(super) facility: u8,
    /// The severity, likewise.
    pub(super) severity: u8,
    /// TIMESTAMP.
    pub(super) timestamp: Option<Stamp<'a>>,
    /// HOSTNAME.
    pub(super) host: Option<&'a [u8]>,
    /// TAG.
    pub(super) tag: Option<&'a [u8]>,
    /// What stands in the brackets behind the tag, which in the RFC's terms is content.
    pub(super) pid: Option<&'a [u8]>,
    /// CONTENT, which begins with what ends the tag: `: message` or `[12]: message`.
    pub(super) content: &'a [u8],
}

impl<'a> Parts<'a> {
    /// Takes a message apart.
    pub(super) fn of(message: &'a [u8]) -> Self {
        let (priority, rest) = match Priority::split(message) {
            Some((priority, rest)) => (priority, Some(rest)),
            None => (Priority::DEFAULT, None),
        };
        let mut parts = Parts {
            facility: priority.facility,
            severity: priority.severity,
            timestamp: None,
            host: None,
            tag: None,
            pid: None,
            content: rest.unwrap_or(message),
        };
        if let Some(rest) = rest {
            parts.split_header(rest);
        }
        parts
    }

    /// The content without what ends the tag, as every syslog daemon shows it.
    pub(super) fn message(&self) -> &'a [u8] {
        if self.tag.is_none() {
            return self.content;
        }
        let brackets = self.pid.map_or(0, |pid| pid.len() + 2);
        let rest = &self.content[brackets..];
        let rest = rest.strip_prefix(b":").unwrap_or(rest);
        rest.strip_prefix(b" ").unwrap_or(rest)
    }

    fn split_header(&mut self, bytes: &'a [u8]) {
        let Some((stamp, rest)) = Stamp::rfc3164(bytes) else {
            // RFC 3164, 4.3.2 has a relay put a header before this, behind which the last
            // receiver finds the tag. A tag must be certain here: nothing before it says that
            // this is a syslog daemon's client and not somebody's sentence.
            self.split_tag(bytes, Certainty::Colon);
            return;
        };
        self.timestamp = Some(stamp);
        self.content = rest;
        if self.split_tag(rest, Certainty::Brackets) {
            return;
        }
        let (word, behind) = token(rest);
        if !behind.is_empty() && is_host(word) {
            self.host = Some(word);
            // Cisco's firewalls put a colon of its own behind the host.
            self.content = behind.strip_prefix(b": ").unwrap_or(behind);
            self.split_tag(self.content, Certainty::Brackets);
        }
    }

    /// Takes a tag off; `false` = there is none.
    fn split_tag(&mut self, bytes: &'a [u8], certainty: Certainty) -> bool {
        let (word, _) = token(bytes);
        let Some(tag) = Tag::of(word, certainty) else { return false };
        self.tag = Some(tag.name);
        self.pid = tag.pid;
        self.content = &bytes[tag.name.len()..];
        true
    }
}

/// How much must follow a tag's name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Certainty {
    /// A colon: `su:` or `su[12]:`.
    Colon,
    /// A colon or brackets: `su[12]` too.
    Brackets,
}

struct Tag<'a> {
    name: &'a [u8],
    pid: Option<&'a [u8]>,
}

impl<'a> Tag<'a> {
    fn of(word: &'a [u8], certainty: Certainty) -> Option<Self> {
        let end = word.iter().position(|byte| matches!(byte, b':' | b'['))?;
        let (name, rest) = word.split_at(end);
        if !is_tag(name) {
            return None;
        }
        if rest == b":" {
            // A number without a name is the counter that some devices begin with, or an hour.
            let named = !name.iter().all(u8::is_ascii_digit);
            return named.then_some(Tag { name, pid: None });
        }
        let inside = rest.strip_prefix(b"[")?;
        let inside = match inside.strip_suffix(b"]:") {
            Some(inside) => inside,
            None if certainty == Certainty::Brackets => inside.strip_suffix(b"]")?,
            None => return None,
        };
        let clean = !inside.is_empty() && !inside.iter().any(|byte| b"[]".contains(byte));
        clean.then_some(Tag { name, pid: Some(inside) })
    }
}

/// Whether a tag may be called so. The RFC has 32 letters and digits, but programs have paths,
/// units and versions in their names, and words of other languages.
///
/// What begins a list, an object, a quotation or `@cee:` is content.
fn is_tag(name: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || *byte >= 0x80;
    name.first().is_some_and(|first| plain(first) || b"_-./%(".contains(first))
        && name.iter().all(|byte| plain(byte) || b"_-./%()@+#~".contains(byte))
        && name.iter().any(plain)
}

/// Whether a host may be called so: a name, an address, or the way through relays that
/// syslog-ng writes (`a@b/c`).
fn is_host(word: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let name = word.first().is_some_and(plain)
        && word.iter().all(|byte| plain(byte) || b"-.@/".contains(byte));
    name || is_ipv6(word)
}

fn is_ipv6(word: &[u8]) -> bool {
    let address = word.split(|&byte| byte == b'%').next().unwrap_or(word);
    std::str::from_utf8(address).is_ok_and(|address| address.parse::<Ipv6Addr>().is_ok())
}
