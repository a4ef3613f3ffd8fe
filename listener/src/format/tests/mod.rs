//! Lines as their readers see them.

mod fmt_layout;
mod json;
mod origin;
mod repeats;
mod template;
mod text;
