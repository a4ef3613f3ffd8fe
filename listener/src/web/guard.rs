//! The guard: who is let in, and what every answer carries.
//!
//! - *Host* must be an address or `localhost`: a page of a name that somebody lets point here
//!   (DNS rebinding) is somebody else's.
//! - *Origin*, where a browser says one, must be this page's.
//! - *Authorization* must carry the token, but for the page's own files, which hold no data. A
//!   wrong one has to wait for its refusal.
//!
//! Every answer, refusals included, forbids the browser whatever the page does not need: code and
//! style from elsewhere or in the markup, frames, forms, guessed types, referrers.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::uri::{Authority, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::Shared;

/// What a page may do: load its own files and talk to this server. `textContent` needs no trusted
/// type, and nothing else is allowed to put text into the document.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    connect-src 'self'; img-src 'self'; form-action 'none'; base-uri 'none'; \
    frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

const HEADERS: [(HeaderName, &str); 8] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    // One request for each connection: that is what the gate counts on.
    (header::CONNECTION, "close"),
];

/// How long a wrong token waits for its refusal.
const REFUSAL_DELAY: Duration = Duration::from_millis(500);

/// An answer that says why there is no other.
pub(super) fn refusal(code: StatusCode, why: &str) -> Response {
    (code, Json(serde_json::json!({ "error": why }))).into_response()
}

/// Lets in who asks this host by its address, and puts the headers on every answer.
pub(super) async fn at_the_door(request: Request, next: Next) -> Response {
    let mut response = match stranger(request.uri(), request.headers()) {
        None => next.run(request).await,
        Some(refused) => refused,
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn stranger(uri: &Uri, headers: &HeaderMap) -> Option<Response> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let named = uri.authority().map(Authority::as_str);
    let is_ours = |host: &str| is_address(host);
    let Some(host) = host.filter(|host| is_ours(host)).filter(|_| named.is_none_or(is_ours)) else {
        return Some(refusal(
            StatusCode::MISDIRECTED_REQUEST,
            "the page answers to the address of its host only: open it by 127.0.0.1 or localhost",
        ));
    };
    let own = format!("http://{host}");
    let is_foreign = headers.get_all(header::ORIGIN).iter().any(|from| from != own.as_str());
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    // To follow a link to the page is harmless; whatever else another site asks is not.
    let is_from_elsewhere = matches!(site, Some(b"cross-site" | b"same-site"))
        && headers.get("sec-fetch-mode").is_none_or(|mode| mode != "navigate");
    (is_foreign || is_from_elsewhere)
        .then(|| refusal(StatusCode::FORBIDDEN, "another site's page may not ask here"))
}

/// Whether a host is an address or `localhost`, with or without a port.
fn is_address(host: &str) -> bool {
    if let Some(rest) = host.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else { return false };
        return address.parse::<Ipv6Addr>().is_ok()
            && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
    }
    let (name, port) = host.split_once(':').unwrap_or((host, "0"));
    is_port(port) && (name == "localhost" || name.parse::<IpAddr>().is_ok())
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok()
}

/// Lets in who knows the token.
pub(super) async fn by_token(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Response {
    let told = request.headers().get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    let told = told.and_then(|told| told.strip_prefix(b"Bearer "));
    match told {
        Some(told) if shared.token.is(told) => next.run(request).await,
        told => {
            if told.is_some() {
                tokio::time::sleep(REFUSAL_DELAY).await;
            }
            let why = format!(
                "the token is missing or wrong; it is in {}",
                shared.run_dir.join(super::token::FILE).display()
            );
            let mut response = refusal(StatusCode::UNAUTHORIZED, &why);
            let headers = response.headers_mut();
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            response
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_and_localhost_are_hosts() {
        for host in
            ["127.0.0.1", "127.0.0.1:8080", "localhost:1", "[::1]:8080", "[::1]", "10.0.0.7"]
        {
            assert!(is_address(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:8080",
            "127.0.0.1.evil.example",
            "localhost.evil.example:80",
            "[::1].evil.example",
            "[evil]:80",
            "127.0.0.1:",
            "127.0.0.1:80:80",
            "127.0.0.1:99999",
            "user@127.0.0.1",
            "::1",
            "2130706433",
        ] {
            assert!(!is_address(host), "{host}");
        }
    }

    fn answer(host: &str, more: &[(&'static str, &'static str)]) -> Option<StatusCode> {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_str(host).unwrap());
        for (name, value) in more {
            headers.append(*name, HeaderValue::from_static(value));
        }
        stranger(&Uri::from_static("/events"), &headers).map(|refused| refused.status())
    }

    #[test]
    fn another_sites_page_is_refused_and_a_link_to_the_page_is_not() {
        let host = "127.0.0.1:80";
        assert_eq!(answer(host, &[]), None);
        assert_eq!(answer(host, &[("origin", "http://127.0.0.1:80")]), None);
        for origin in ["http://evil.example", "https://127.0.0.1:80", "null", "http://127.0.0.1:81"]
        {
            assert_eq!(answer(host, &[("origin", origin)]), Some(StatusCode::FORBIDDEN));
        }
        let site = ("sec-fetch-site", "cross-site");
        assert_eq!(answer(host, &[site]), Some(StatusCode::FORBIDDEN));
        assert_eq!(answer(host, &[site, ("sec-fetch-mode", "navigate")]), None);
        assert_eq!(answer("evil.example", &[]), Some(StatusCode::MISDIRECTED_REQUEST));
    }

    #[test]
    fn a_request_that_names_another_host_in_its_line_is_refused() {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("127.0.0.1:80"));
        let refused = stranger(&Uri::from_static("http://evil.example/"), &headers);
        assert!(refused.is_some());
        assert!(stranger(&Uri::from_static("http://127.0.0.1:80/"), &headers).is_none());
    }
}
