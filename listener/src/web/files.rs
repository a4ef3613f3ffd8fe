//! The page's own files. They are part of the binary and hold no data, so that they are there for
//! whoever asks.

use axum::Router;
use axum::http::header;
use axum::routing::get;

/// A file: its path, its type, its text.
struct File(&'static str, &'static str, &'static str);

const SCRIPT: &str = "text/javascript; charset=utf-8";

const FILES: [File; 10] = [
    File("/", "text/html; charset=utf-8", include_str!("page/page.html")),
    File("/page.css", "text/css; charset=utf-8", include_str!("page/page.css")),
    File("/page.js", SCRIPT, include_str!("page/page.js")),
    File("/stream.js", SCRIPT, include_str!("page/stream.js")),
    File("/show.js", SCRIPT, include_str!("page/show.js")),
    File("/fleet.js", SCRIPT, include_str!("page/fleet.js")),
    File("/plot.js", SCRIPT, include_str!("page/plot.js")),
    File("/tail.js", SCRIPT, include_str!("page/tail.js")),
    File("/levels.js", SCRIPT, include_str!("page/levels.js")),
    File("/icon.svg", "image/svg+xml", include_str!("page/icon.svg")),
];

/// A route for each file.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    FILES.into_iter().fold(Router::new(), |router, File(path, kind, text)| {
        router.route(path, get(move || async move { ([(header::CONTENT_TYPE, kind)], text) }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_nothing_that_is_not_one_of_its_files() {
        let named =
            regex::Regex::new(r#"(?:href|src|from|url)\s*[=(]?\s*["']([^"']*)["']"#).unwrap();
        for File(path, _, text) in FILES {
            for found in named.captures_iter(text) {
                let name = found[1].trim_start_matches('.');
                let is_file = FILES.iter().any(|file| file.0 == name);
                assert!(is_file || name.starts_with('#'), "{path} names {name:?}");
            }
        }
    }

    #[test]
    fn nothing_in_the_page_turns_text_into_markup_or_code() {
        for File(path, _, text) in FILES {
            for word in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                "Function(",
                "DOMParser",
                "createContextualFragment",
                "style=",
                "javascript:",
                "https://",
                "srcdoc",
                "setHTML",
                " onclick",
                " onload",
                "setAttribute(\"style\"",
            ] {
                assert!(!text.contains(word), "{path} holds {word:?}");
            }
            let elsewhere = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!elsewhere.contains("http://"), "{path} names another place");
        }
    }
}
