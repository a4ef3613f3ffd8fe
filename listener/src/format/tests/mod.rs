//! Lines as their readers see them.

mod fmt_layout;
mod json;
mod template;
mod text;
