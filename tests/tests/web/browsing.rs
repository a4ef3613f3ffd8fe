//! The page in a real browser, with real records.

use std::io::Write as _;
use std::process::Command;

use fleetlog_tests::{Browser, Steady, binaries};
use serde_json::json;

use crate::{Site, record};

/// Everything that becomes markup, code, a link or a line of its own where somebody forgets to
/// escape. Whatever of it runs says so in `window.owned`.
const HOSTILE: [&str; 10] = [
    "<img src=x onerror=\"window.owned=1\">",
    "</script><script>window.owned=2</script>",
    "</span></div><b id=forged>bold</b>",
    "'\"><svg/onload=window.owned=3>",
    "javascript:window.owned=4",
    "{{constructor.constructor('window.owned=5')()}}",
    "line one\nline two\r\n\ndata: {}\n\nevent: rows",
    "\u{1b}[31mred\u{1b}[0m \u{9b}2J \u{7}bell \0nul",
    "\u{202e}drawkcab\u{202c} \u{2066}x\u{2069} \u{feff}",
    "<a href=//evil.example>link</a><style>*{display:none}</style><iframe src=//evil.example>",
];

fn opened(site: &Site) -> Option<Browser> {
    let mut browser = Browser::start(&site.fixture)?;
    browser.size(1440, 900);
    browser.open(&site.url());
    browser.until("the page is connected", "document.querySelector('#dot.good')");
    Some(browser)
}

fn rows(contains: &str) -> String {
    format!(
        "[...document.querySelectorAll('#rows .row')].filter(row => row.textContent.includes({}))",
        json!(contains)
    )
}

/// The page asked nobody else for anything, and nothing in it went wrong.
fn demand_clean(browser: &mut Browser, site: &Site) {
    assert_eq!(browser.problems(), Vec::<String>::new());
    let own = format!("http://{}/", site.address);
    let requests = browser.requests();
    assert!(requests.iter().all(|url| url.starts_with(&own)), "{requests:?}");
    assert!(requests.len() > 5, "{requests:?}");
    assert!(requests.iter().all(|url| !url.contains(&site.token)), "the token is in an address");
}

#[test]
fn hostile_records_are_shown_as_text_and_nothing_of_them_runs() {
    let site = Site::new();
    let Some(mut browser) = opened(&site) else { return };
    browser.value(
        "document.addEventListener('securitypolicyviolation', e => { window.violated = e.violatedDirective })",
    );
    for text in HOSTILE {
        let fields = json!({ "level": "error", "message": text, "target": text, text: text });
        site.log(&[fields]);
    }
    // They live until the end, so that the table has them too.
    let pipes = [HOSTILE[0], HOSTILE[1], HOSTILE[8]].map(|name| {
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        let mut command = Command::new(binaries!().fleetlog);
        command.args(["pipe", "--name", name]).env("FLEETLOG_RUN_DIR", site.fixture.run_dir());
        let program = site.fixture.start_on(reader, "pipe", command);
        writer.write_all(b"piped\n").expect("a line");
        (writer, program)
    });
    // Names, spans, fields and bytes of a hostile program.
    site.fixture.workload(["hostile", "--workers", "2", "--records", "20"]).succeed();
    site.log(&[record("error", &"<b>".repeat(21_000)), record("info", "the end")]);
    browser.until("everything is there", &format!("{}.length === 1", rows("the end")));
    for text in &HOSTILE[..6] {
        let found = browser.value(&format!("{}.length", rows(text)));
        assert!(found.as_u64() >= Some(1), "{text:?} is not shown as it is");
    }
    browser.until("the workers are there", "document.querySelectorAll('#workers tr').length >= 3");
    let names = browser.value("document.querySelector('#workers').textContent");
    assert!(names.as_str().is_some_and(|names| names.contains(HOSTILE[0])), "{names}");
    browser.until(
        "the plot names them",
        "document.querySelector('#legend').textContent.includes('onerror')",
    );
    assert_eq!(browser.value("window.owned ?? window.violated ?? null"), json!(null));
    let forged = "document.querySelectorAll('#forged, main img, main script, main iframe, main a, \
         main style, #rows b, #workers b, #rows svg').length";
    assert_eq!(browser.value(forged), 0);
    let shown = browser.value("document.body.textContent");
    let shown = shown.as_str().expect("text");
    assert!(shown.contains("\\u{202e}drawkcab") && shown.contains("\\x1b[31mred"), "{shown}");
    let is_evil = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    assert_eq!(shown.chars().find(|c| is_evil(*c)), None);
    demand_clean(&mut browser, &site);
    for (writer, program) in pipes {
        drop(writer);
        program.succeed();
    }
}

#[test]
fn nothing_but_the_page_itself_could_run_even_if_it_stood_in_the_page() {
    let site = Site::new();
    let Some(mut browser) = opened(&site) else { return };
    let tried = browser.value(
        "(async () => {
            const refused = [];
            try { document.body.innerHTML = '<p>x'; } catch { refused.push('markup'); }
            try { eval('1'); } catch { refused.push('eval'); }
            try { await fetch('http://127.0.0.1:9/'); } catch { refused.push('elsewhere'); }
            const image = new Image();
            await new Promise(done => { image.onerror = done; image.src = 'http://127.0.0.1:9/x.png'; });
            const style = document.createElement('style');
            style.textContent = 'body { display: none }';
            document.body.append(style);
            if (getComputedStyle(document.body).display !== 'none') refused.push('style');
            return refused;
        })()",
    );
    assert_eq!(tried, json!(["markup", "eval", "elsewhere", "style"]));
}

#[test]
fn the_page_takes_the_token_out_of_the_address_and_asks_for_one_that_is_right() {
    let site = Site::new();
    let Some(mut browser) = opened(&site) else { return };
    assert_eq!(browser.value("location.hash + location.search"), "");
    browser.call("Page.reload", json!({}));
    browser.until("a reload keeps it", "document.querySelector('#dot.good')");
    browser.open(&format!("http://{}/#token=wrong", site.address));
    browser.until("it asks", "!document.querySelector('#entrance').hidden");
    browser.until("it says why", "document.body.textContent.includes('missing or wrong')");
    assert_eq!(browser.value("document.activeElement.id"), "token");
    browser.write(&site.token);
    browser.press("Enter");
    browser.until("it is open", "document.querySelector('#dot.good')");
    assert_eq!(browser.value("document.querySelector('#entrance').hidden"), true);
    demand_clean(&mut browser, &site);
}

#[test]
fn filters_pause_and_help_work_by_keyboard_alone() {
    let site = Site::new();
    let Some(mut browser) = opened(&site) else { return };
    site.log(&[record("info", "apple"), record("warn", "pear"), record("error", "apple pie")]);
    browser.until("all are there", "document.querySelectorAll('#rows .row').length === 3");
    browser.press("/");
    assert_eq!(browser.value("document.activeElement.id"), "text");
    browser.write("apple");
    browser.press("Enter");
    browser.until(
        "one is left out",
        &format!(
            "document.querySelectorAll('#rows .row').length === 2 && {}.length === 0",
            rows("pear")
        ),
    );
    browser.press("Escape");
    assert_eq!(browser.value("document.activeElement.id"), "rows");
    browser.press(" ");
    browser.until(
        "it is paused",
        "document.querySelector('#pause').getAttribute('aria-pressed') === 'true'",
    );
    site.log(&[record("info", "apple juice")]);
    browser.until(
        "a line waits",
        "document.querySelector('#tail-state').textContent.includes('1 line wait')",
    );
    assert_eq!(browser.value(&format!("{}.length", rows("juice"))), 0);
    browser.press(" ");
    browser.until("it goes on", &format!("{}.length === 1", rows("juice")));
    browser.press("?");
    browser.until("help is open", "document.querySelector('#help').open");
    browser.press("Escape");
    browser.until("help is closed", "!document.querySelector('#help').open");
    browser.press("/");
    browser.write("(");
    browser.until("a wrong pattern is told", "!document.querySelector('#filter-error').hidden");
    assert_eq!(
        browser.value("document.querySelector('#text').getAttribute('aria-invalid')"),
        "true"
    );
    browser.press("Backspace");
    browser.until("it is mended", &format!("{}.length === 1", rows("juice")));
    browser.press("Escape");
    let before = browser.value("document.documentElement.dataset.theme ?? 'auto'");
    browser.press("t");
    let after = browser.value("document.documentElement.dataset.theme ?? 'auto'");
    assert_eq!((before, after), (json!("auto"), json!("light")));
    demand_clean(&mut browser, &site);
}

#[test]
fn every_control_is_reached_by_tab_has_a_name_and_shows_the_focus() {
    let site = Site::new();
    site.log(&[record("info", "one")]);
    let Some(mut browser) = opened(&site) else { return };
    browser.value("document.body.focus()");
    let mut reached = Vec::new();
    for _ in 0..60 {
        browser.press("Tab");
        let at = browser.value(
            "(() => { const at = document.activeElement; const style = getComputedStyle(at);
                return [at === document.body ? 'body' : at.id || at.textContent, style.outlineStyle !== 'none' && style.outlineWidth !== '0px',
                    (at.labels?.[0]?.textContent || at.getAttribute('aria-label')
                     || at.getAttribute('aria-labelledby') || at.textContent || '').trim()] })()",
        );
        if at[0] == "body" || reached.contains(&at) {
            continue;
        }
        reached.push(at);
    }
    for control in [
        "theme",
        "help-open",
        "level",
        "worker",
        "target",
        "text",
        "pause",
        "clear",
        "rows",
        "directives",
        "level-worker",
        "for",
        "levels-reset",
        "Rate",
        "Dropped",
    ] {
        assert!(reached.iter().any(|at| at[0] == control), "{control} is not reached: {reached:?}");
    }
    for at in reached {
        assert_eq!(at[1], true, "no focus is seen on {at}");
        assert_ne!(at[2], "", "{at} has no name");
    }
}

#[test]
fn a_level_is_switched_in_living_workers_and_taken_back() {
    let site = Site::new();
    let folder = site.fixture.path().join("levels");
    std::fs::create_dir(&folder).expect("a folder");
    let folder_text = folder.to_str().expect("UTF-8").to_owned();
    let fleet = site.fixture.workload(["level", "--workers", "2", "--folder", &folder_text]);
    let Some(mut browser) = opened(&site) else { return };
    browser.until("the workers are there", "document.querySelectorAll('#workers tr').length >= 1");
    browser.press("l");
    assert_eq!(browser.value("document.activeElement.id"), "directives");
    browser.write("debug");
    browser.press("Enter");
    browser.until(
        "it is in force",
        "document.querySelector('#levels-rows').textContent.includes('debug')",
    );
    browser.until("a worker logs at debug", "document.querySelector('#rows .row.DEBUG')");
    browser.value("document.querySelector('#levels-reset').click()");
    browser.until(
        "it is taken back",
        "document.querySelector('#levels-rows').textContent.includes('started with')",
    );
    browser.value("document.querySelector('#directives').value = 'a=b=c'");
    browser.value("document.querySelector('#levels-form').requestSubmit()");
    browser.until("a mistake is told", "!document.querySelector('#levels-error').hidden");
    demand_clean(&mut browser, &site);
    std::fs::write(folder.join("end"), "").expect("a file");
    fleet.succeed();
}

#[test]
fn the_list_of_lines_is_bounded_and_follows_until_somebody_scrolls_up() {
    let site = Site::new();
    let Some(mut browser) = opened(&site) else { return };
    let fleet = Steady::start(&site.fixture, 2, 1, &["--burst", "20", "--pause", "10000"]);
    let at_end = "(() => { const list = document.querySelector('#rows');
        return list.scrollHeight - list.clientHeight - list.scrollTop < 30 })()";
    browser.until("there are many", "document.querySelectorAll('#rows .row').length === 2000");
    browser.until("it follows", at_end);
    browser.value("document.querySelector('#rows').focus()");
    browser.value("document.querySelector('#rows').scrollTop = 0");
    browser.until("it stays", "!document.querySelector('#follow').hidden");
    browser.until(
        "lines still come",
        "document.querySelectorAll('#rows .row.mark').length >= 1 \
        && document.querySelectorAll('#rows .row').length <= 2000",
    );
    assert_eq!(browser.value(at_end), false);
    browser.press("End");
    browser.until("it follows again", "document.querySelector('#follow').hidden");
    browser.until("it is at the end", at_end);
    assert_eq!(browser.value("document.querySelectorAll('#rows .row').length <= 2000"), true);
    drop(fleet.finish());
    demand_clean(&mut browser, &site);
}

#[test]
fn a_page_finds_its_listener_again_and_asks_for_the_new_token() {
    let site = Site::new();
    let Some(mut browser) = opened(&site) else { return };
    let address = site.address.to_string();
    let Site { fixture, listener, .. } = site;
    listener.kill();
    browser.until(
        "the page says so",
        "document.querySelector('#dot.bad') && !document.querySelector('#banner').hidden",
    );
    let listener = fixture.listener().with(["--web", &address]).start();
    browser.until("it asks for the token", "!document.querySelector('#entrance').hidden");
    let site = Site::around(fixture, listener);
    browser.write(&site.token);
    browser.press("Enter");
    browser.until("it is open again", "document.querySelector('#dot.good')");
    browser.until("and says nothing any more", "document.querySelector('#banner').hidden");
}
