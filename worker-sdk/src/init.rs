//! Setting a program up in one call.

use tracing_core::dispatcher::{Dispatch, SetGlobalDefaultError, set_global_default};
use tracing_subscriber::layer::SubscriberExt as _;

use crate::builder::BuildError;
use crate::layer::Layer;
use crate::live_level::LiveFilter;
use crate::say;

/// The environment variable with the filter directives of [`init`].
pub const LEVEL_VARIABLE: &str = "FLEETLOG_LEVEL";

/// What everybody's filter variable is called.
const COMMON_VARIABLE: &str = "RUST_LOG";

/// The filter where no variable names one.
const DEFAULT_FILTER: &str = "info";

/// The program can't be set up.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum InitError {
    /// The layer can't be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A variable holds no filter.
    #[error(
        "${variable} is `{value}`, which is no filter: {why}. An example is `info,my_app=debug`"
    )]
    Filter {
        /// The variable.
        variable: &'static str,
        /// What it holds.
        value: String,
        /// What is wrong with it.
        why: String,
    },
    /// The program has a subscriber already.
    #[error("this program has a global subscriber already: add `fleetlog_worker::Layer` to it")]
    AlreadySet(#[from] SetGlobalDefaultError),
}

fleetlog_protocol::debug_as_display!(InitError);

/// Sends everything that this program logs to the fleet's listener.
///
/// Sets a global subscriber: our registry, which survives forks, a filter, and the layer. The
/// run directory comes from `$FLEETLOG_RUN_DIR`, the worker's name from `$FLEETLOG_NAME`, the
/// filter from `$FLEETLOG_LEVEL`, else from `$RUST_LOG`, else it is `info`. A mistake in the former is an
/// error. Of `$RUST_LOG`, which is everybody's, what is no directive is left out, as the usual filter
/// does; standard error tells which. The transport comes from
/// `$FLEETLOG_TRANSPORT`, else it is [`Transport::Auto`](crate::Transport::Auto). Records of the
/// `log` crate come along, with their key-values. `fleetlog level` can change the filter while the program runs, unless
/// `$FLEETLOG_LIVE_LEVEL` is `off`; see [`LiveFilter`]. There is nothing to hold and nothing to flush.
///
/// ```no_run
/// fn main() -> Result<(), fleetlog_worker::InitError> {
///     fleetlog_worker::init()?;
///     tracing::info!("ready");
///     Ok(())
/// }
/// ```
///
/// # Errors
/// Any [`InitError`].
pub fn init() -> Result<(), InitError> {
    init_with(Layer::builder().build()?)
}

/// As [`init`], with a layer that was built already.
pub(crate) fn init_with(layer: Layer) -> Result<(), InitError> {
    let filter = LiveFilter::new(&layer, filter()?);
    let subscriber = crate::registry().with(filter).with(layer);
    set_global_default(Dispatch::new(subscriber))?;
    #[cfg(feature = "log")]
    crate::log_record::follow();
    Ok(())
}

#[cfg(feature = "env-filter")]
type Filter = tracing_subscriber::EnvFilter;
#[cfg(not(feature = "env-filter"))]
type Filter = tracing_subscriber::filter::Targets;

fn filter() -> Result<Filter, InitError> {
    let found = [LEVEL_VARIABLE, COMMON_VARIABLE].into_iter().find_map(|variable| {
        let value = std::env::var(variable).ok().filter(|value| !value.trim().is_empty());
        value.map(|value| (variable, value))
    });
    let (variable, value) = found.unwrap_or((LEVEL_VARIABLE, DEFAULT_FILTER.to_owned()));
    match parse(&value) {
        Err(_) if variable == COMMON_VARIABLE => parse_what_can_be(variable, &value),
        parsed => parsed.map_err(|why| InitError::Filter { variable, value, why }),
    }
}

/// Leaves out of a variable what is no directive, and tells of it.
fn parse_what_can_be(variable: &'static str, value: &str) -> Result<Filter, InitError> {
    let (known, unknown): (Vec<&str>, Vec<&str>) =
        value.split(',').partition(|directive| parse(directive).is_ok());
    let known = known.join(",");
    let directives = if known.trim().is_empty() { DEFAULT_FILTER } else { known.as_str() };
    say::no_filter(&format!(
        "`{}` in ${variable}; what is logged is `{directives}`",
        unknown.join(",")
    ));
    parse(directives).map_err(|why| InitError::Filter { variable, value: value.to_owned(), why })
}

#[cfg(feature = "env-filter")]
fn parse(directives: &str) -> Result<Filter, String> {
    Filter::builder().parse(directives).map_err(|error| error.to_string())
}

#[cfg(not(feature = "env-filter"))]
fn parse(directives: &str) -> Result<Filter, String> {
    directives.parse().map_err(|error: tracing_subscriber::filter::ParseError| error.to_string())
}
