//! What formats in the worker: the stock format of `tracing_subscriber::fmt`, with the worker's
//! name in front, and the writers that it has beside files and pipes.

use std::fmt;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Format, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

use super::set_global;

/// Logs as `tracing_subscriber::fmt` does, with the worker in front of each line, and with what
/// the consumer wants in front of that.
pub(super) fn follow<W>(before: &str, name: &str, writer: W) -> io::Result<()>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let prefix = format!("{before}{name}[{}] ", std::process::id());
    let format = WithWorker { prefix, format: Format::default().with_ansi(false) };
    set_global(
        tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(writer)
            .event_format(format)
            .finish(),
    )
}

/// The stock format behind a constant text. Fields for name and pid would be formatted anew with
/// every record; this costs a peer the least.
struct WithWorker {
    prefix: String,
    format: Format,
}

impl<S, N> FormatEvent<S, N> for WithWorker
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        writer.write_str(&self.prefix)?;
        self.format.format_event(context, writer, event)
    }
}

/// A socket to which every write is one message.
#[derive(Debug)]
pub(super) struct Datagrams {
    socket: UnixDatagram,
}

impl Datagrams {
    pub(super) fn to(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(path)?;
        Ok(Self { socket })
    }
}

impl io::Write for &Datagrams {
    /// Sends a line, without its end: the edges of a message are those of the datagram.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.socket.send(line.strip_suffix(b"\n").unwrap_or(line))?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
