//! How the page looks: at a phone's and a desktop's width, light and dark. With
//! `FLEETLOG_PICTURES` the pictures are left in that folder, for eyes.

use std::path::PathBuf;

use fleetlog_tests::{Browser, Disk, Fixture, Steady, binaries};
use serde_json::{Value, json};

use crate::{Site, record};

const WIDTHS: [(u32, u32); 4] = [(360, 740), (390, 844), (1440, 900), (1600, 1000)];

/// The texts whose contrast with what is behind them is too small for WCAG's level AA.
const POOR_CONTRAST: &str = "(() => {
    const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
    const rgba = (color) => {
        canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const light = ([r, g, b]) => {
        const part = (value) => (value /= 255) <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
        return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
    };
    const behind = (element) => {
        for (let at = element; at; at = at.parentElement) {
            const color = rgba(getComputedStyle(at).backgroundColor);
            if (color[3] === 255) return color;
        }
        return [255, 255, 255, 255];
    };
    const poor = [];
    for (const element of document.querySelectorAll('body *')) {
        const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
        if (!own || !element.checkVisibility() || element.closest('.unseen, .skip, noscript, svg, option, .row:nth-last-child(n+100)')) continue;
        const [front, back] = [light(rgba(getComputedStyle(element).color)), light(behind(element))];
        const contrast = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
        if (contrast < 4.5) poor.push([element.className, element.textContent.slice(0, 40), contrast]);
    }
    return poor;
})()";

fn laid_out(width: u32, scheme: &str) -> String {
    format!("innerWidth === {width} && matchMedia('(prefers-color-scheme: {scheme})').matches")
}

fn save(browser: &mut Browser, name: &str) {
    let picture = browser.picture();
    assert!(picture.len() > 10_000, "{name}: an empty picture");
    if let Some(folder) = std::env::var_os("FLEETLOG_PICTURES") {
        let folder = PathBuf::from(folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join(name), picture).expect("a file");
    }
}

#[test]
fn the_page_fits_every_width_and_can_be_read_in_both_schemes() {
    let site = Site::with(&["--rate-limit-burst", "60"]);
    let Some(mut browser) = Browser::start(&site.fixture) else { return };
    let fleet = Steady::start(&site.fixture, 12, 1, &["--burst", "3", "--pause", "60000"]);
    site.log(&[
        record("warn", "the payment provider answers slowly, 2.4 s; trying again"),
        record("error", "<img src=x onerror=alert(1)> \u{1b}[31mcould not write \u{202e}evil.txt"),
        record("debug", "cart 17 has 3 items"),
        record("trace", "lock taken after 12 µs"),
        record("error", &format!("a long one: {}", "0123456789 ".repeat(400))),
        json!({ "level": "info", "message": "order 4711 is paid", "target": "shop::order", "amount": 12.5, "currency": "EUR" }),
    ]);
    // More than this client may log: these are drops.
    let many: Vec<_> = (0..100).map(|n| record("warn", &format!("retry {n}"))).collect();
    site.log(&many);
    browser.size(1440, 900);
    browser.open(&site.url());
    browser.until("the state is there", "document.querySelectorAll('#workers tr').length >= 12");
    browser.until("lines are there", "document.querySelectorAll('#rows .row').length > 200");
    browser.until("there are rates", "document.querySelectorAll('.spark path').length >= 12");
    browser.until("the plot is drawn", "document.querySelectorAll('#plot path').length >= 8");
    // Lines of all levels, and the hostile and the long one among them.
    browser.value(
        "document.querySelector('#text').value = 'payment|img|cart 17|lock taken|long one|order'",
    );
    browser.value("document.querySelector('#filter').requestSubmit()");
    browser.until(
        "they are shown",
        "document.querySelector('#rows .row.TRACE') \
        && !document.querySelector('#rows').textContent.includes('finished')",
    );
    for (width, height) in WIDTHS {
        browser.size(width, height);
        for scheme in ["light", "dark"] {
            browser.scheme(scheme);
            browser.until("it is laid out", &laid_out(width, scheme));
            let wide = browser.value("[document.documentElement.scrollWidth, innerWidth]");
            assert!(wide[0].as_u64() <= wide[1].as_u64(), "scrolls sideways at {width}: {wide}");
            let poor = browser.value(POOR_CONTRAST);
            assert_eq!(poor, Value::Array(Vec::new()), "at {width}, {scheme}");
            save(&mut browser, &format!("page-{width}x{height}-{scheme}.png"));
        }
    }
    browser.until("drops are told", "document.querySelector('#total-dropped').textContent !== '0'");
    assert_eq!(browser.problems(), Vec::<String>::new());
    drop(fleet.finish());
}

#[test]
fn a_listener_that_can_not_write_is_shown_in_red() {
    let fixture = Fixture::new(binaries!());
    let Some(disk) = Disk::mount(&fixture.path().join("disk"), "1m") else { return };
    let log = disk.path().join("apps.log").to_str().expect("UTF-8").to_owned();
    let listener =
        fixture.listener().only_with(["--file", &log, "--format", "json", "--web", "0"]).start();
    let site = Site::around(fixture, listener);
    let Some(mut browser) = Browser::start(&site.fixture) else { return };
    let fleet = Steady::start(&site.fixture, 12, 1, &["--burst", "3", "--pause", "60000"]);
    browser.size(1440, 900);
    browser.open(&site.url());
    browser
        .until("it is paused", "document.querySelector('#banner').textContent.includes('paused')");
    browser.until("records wait", "document.querySelector('#total-lag').textContent !== 'none'");
    for (width, height) in [(390, 844), (1440, 900)] {
        browser.size(width, height);
        for scheme in ["light", "dark"] {
            browser.scheme(scheme);
            browser.until("it is laid out", &laid_out(width, scheme));
            assert_eq!(browser.value(POOR_CONTRAST), Value::Array(Vec::new()), "{width}, {scheme}");
            save(&mut browser, &format!("paused-{width}x{height}-{scheme}.png"));
        }
    }
    disk.grow("64m");
    browser.until("it writes again", "document.querySelector('#banner').hidden");
    assert_eq!(browser.problems(), Vec::<String>::new());
    drop(fleet.finish());
    assert!(site.listener.stop().is_complete());
}
