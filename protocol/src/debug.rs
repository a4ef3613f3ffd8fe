//! Errors whose `Debug` is what they say.
//!
//! `main() -> Result<(), E>` and `unwrap()` print an error by its `Debug`. The derived one shows names of
//! fields and no sentence.

/// Gives errors the `Debug` of their `Display`: for every error that a program may meet.
///
/// ```
/// #[derive(thiserror::Error)]
/// #[error("the door is closed")]
/// struct Closed;
/// fleetlog_protocol::debug_as_display!(Closed);
/// assert_eq!(format!("{:?}", Closed), "the door is closed");
/// ```
#[macro_export]
macro_rules! debug_as_display {
    ($($error:ty),+ $(,)?) => {
        $(impl ::std::fmt::Debug for $error {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                ::std::fmt::Display::fmt(self, f)
            }
        })+
    };
}
