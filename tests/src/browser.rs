//! A browser without a window, driven over its pipe.
//!
//! Chromium speaks its DevTools protocol over two descriptors, 3 and 4, as JSON that ends with a
//! zero byte. A shell opens two named pipes as those, so that no port is open and nothing but the
//! standard library is needed.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::{Value, json};

use crate::fixture::{Fixture, Program};
use crate::programs;
use crate::wait::GENEROUS;

/// A browser with one page.
#[derive(Debug)]
pub struct Browser {
    program: Program,
    to: File,
    from: Receiver<Value>,
    /// What it told while nobody asked.
    events: VecDeque<Value>,
    session: Option<String>,
    asked: u64,
}

impl Browser {
    /// Starts one in a folder of its own; `None`, said loudly, where there is none.
    #[must_use]
    pub fn start(fixture: &Fixture) -> Option<Self> {
        let chromium = programs::find("chromium")?;
        let folder = fixture.path().join("browser");
        fs::create_dir(&folder).expect("a folder");
        let [to, from] = ["to", "from"].map(|name| folder.join(name));
        for pipe in [&to, &from] {
            mkfifo(pipe, Mode::S_IRUSR | Mode::S_IWUSR).expect("a pipe");
        }
        let mut command = Command::new("sh");
        command.args(["-c", "exec \"$0\" \"$@\" 3<\"$TO\" 4>\"$FROM\""]).arg(chromium);
        command.args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--remote-debugging-pipe",
        ]);
        command.arg(format!("--user-data-dir={}", folder.join("profile").display()));
        command.arg("about:blank");
        command.env("TO", &to).env("FROM", &from).env("HOME", &folder).env("TZ", "UTC");
        let program = fixture.start("chromium", command);
        // In the order in which the shell opens its ends.
        let to = OpenOptions::new().write(true).open(&to).expect("the pipe to the browser");
        let from = File::open(&from).expect("the pipe from the browser");
        let mut browser = Self {
            program,
            to,
            from: read(from),
            events: VecDeque::new(),
            session: None,
            asked: 0,
        };
        browser.attach();
        Some(browser)
    }

    fn attach(&mut self) {
        let target = self.call("Target.createTarget", json!({ "url": "about:blank" }));
        let target = json!({ "targetId": target["targetId"], "flatten": true });
        let session = self.call("Target.attachToTarget", target);
        self.session = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            self.call(&format!("{domain}.enable"), json!({}));
        }
    }

    /// Calls a method of the protocol.
    ///
    /// # Panics
    ///
    /// Where the browser refuses it or does not answer.
    pub fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.asked += 1;
        let mut message = json!({ "id": self.asked, "method": method });
        message["params"] = parameters;
        if let Some(session) = &self.session {
            message["sessionId"] = session.clone().into();
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.to.write_all(&bytes).unwrap_or_else(|error| panic!("{method}: {error}"));
        let until = Instant::now() + GENEROUS;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(told) = self.from.recv_timeout(left) else {
                panic!("no answer to {method}: {}", self.program.output());
            };
            if told["id"] != self.asked {
                self.hear(told);
                continue;
            }
            assert!(told["error"].is_null(), "{method}: {}", told["error"]);
            return told["result"].clone();
        }
    }

    fn hear(&mut self, event: Value) {
        if event["method"] == "Page.javascriptDialogOpening" {
            // A dialog would hold up everything; that it opened is remembered.
            self.asked += 1;
            let close = json!({
                "id": self.asked, "method": "Page.handleJavaScriptDialog",
                "params": { "accept": false }, "sessionId": self.session,
            });
            let _ = self.to.write_all(format!("{close}\0").as_bytes());
        }
        self.events.push_back(event);
    }

    /// Opens an address and waits until its document is there.
    pub fn open(&mut self, address: &str) {
        // To a place that differs by its fragment alone a browser would not go.
        self.call("Page.navigate", json!({ "url": "about:blank" }));
        self.call("Page.navigate", json!({ "url": address }));
        self.until(
            "the page is loaded",
            "document.readyState === 'complete' && location.host !== ''",
        );
    }

    /// What an expression is worth.
    ///
    /// # Panics
    ///
    /// Where it throws.
    pub fn value(&mut self, expression: &str) -> Value {
        let parameters = json!({
            "expression": expression, "returnByValue": true, "awaitPromise": true,
            "allowUnsafeEvalBlockedByCSP": false,
        });
        let told = self.call("Runtime.evaluate", parameters);
        assert!(told["exceptionDetails"].is_null(), "{expression}: {}", told["exceptionDetails"]);
        told["result"]["value"].clone()
    }

    /// Waits until an expression is true.
    ///
    /// # Panics
    ///
    /// Where it never is, with what the page shows.
    pub fn until(&mut self, what: &str, expression: &str) {
        let until = Instant::now() + GENEROUS;
        let question = format!("Boolean({expression})");
        while self.value(&question) != true {
            if Instant::now() >= until {
                let shown = self.value("document.body.innerText.slice(0, 4000)");
                let problems = self.problems();
                panic!("waited in vain: {what}: {expression}\n{shown}\n{problems:#?}");
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Types a text where the focus is.
    pub fn write(&mut self, text: &str) {
        for letter in text.chars() {
            self.press(&letter.to_string());
        }
    }

    /// Presses a key: a character, or a key's name.
    pub fn press(&mut self, key: &str) {
        let (code, text) = match key {
            "Tab" => (9, None),
            "Enter" => (13, Some("\r")),
            "Escape" => (27, None),
            "End" => (35, None),
            "Home" => (36, None),
            "PageUp" => (33, None),
            "ArrowDown" => (40, None),
            "Backspace" => (8, None),
            letter => (0, Some(letter)),
        };
        let mut down = json!({ "type": "keyDown", "key": key, "windowsVirtualKeyCode": code });
        if let Some(text) = text {
            down["text"] = text.into();
        }
        self.call("Input.dispatchKeyEvent", down);
        let up = json!({ "type": "keyUp", "key": key, "windowsVirtualKeyCode": code });
        self.call("Input.dispatchKeyEvent", up);
    }

    /// Gives the page a size; a small one is a phone.
    pub fn size(&mut self, width: u32, height: u32) {
        let size = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600,
        });
        self.call("Emulation.setDeviceMetricsOverride", size);
    }

    /// Makes the system's colours `light` or `dark`.
    pub fn scheme(&mut self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    /// Takes a picture of the whole page, as PNG.
    pub fn picture(&mut self) -> Vec<u8> {
        let size = "[innerWidth, document.documentElement.scrollHeight]";
        let size = self.value(size);
        let whole = json!({
            "format": "png", "captureBeyondViewport": true,
            "clip": { "x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1 },
        });
        let told = self.call("Page.captureScreenshot", whole);
        base64(told["data"].as_str().expect("a picture"))
    }

    /// What went wrong in the page so far: exceptions, errors on its console, dialogs, violations
    /// of its policy. An answer of 401 or 400 is no mistake of the page.
    pub fn problems(&mut self) -> Vec<String> {
        self.value("0");
        let mut problems = Vec::new();
        for event in &self.events {
            let told = &event["params"];
            let problem = match event["method"].as_str().unwrap_or_default() {
                "Runtime.exceptionThrown" => told["exceptionDetails"].to_string(),
                "Page.javascriptDialogOpening" => format!("a dialog: {told}"),
                "Runtime.consoleAPICalled" if told["type"] != "log" => told.to_string(),
                "Log.entryAdded" if told["entry"]["source"] == "network" => continue,
                "Log.entryAdded" => told["entry"].to_string(),
                _ => continue,
            };
            problems.push(problem);
        }
        problems
    }

    /// Every address that the page asked for.
    pub fn requests(&mut self) -> Vec<String> {
        self.value("0");
        let sent = self.events.iter().filter(|it| it["method"] == "Network.requestWillBeSent");
        let addresses = sent.filter_map(|it| it["params"]["request"]["url"].as_str());
        addresses.filter(|address| *address != "about:blank").map(str::to_owned).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its helpers end with it when it ends by itself; killed, it leaves them some seconds.
        self.session = None;
        let close = json!({ "id": 0, "method": "Browser.close" });
        let _ = self.to.write_all(format!("{close}\0").as_bytes());
        let until = Instant::now() + Duration::from_secs(10);
        while self.program.is_running() && Instant::now() < until {
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Reads messages in a thread, for a wait that has an end.
fn read(from: File) -> Receiver<Value> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut message = Vec::new();
        while from.read_until(0, &mut message).is_ok_and(|read| read > 0) {
            message.pop();
            let Ok(told) = serde_json::from_slice(&message) else { return };
            message.clear();
            if sender.send(told).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Decodes base64 with its padding.
fn base64(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |byte: u8| DIGITS.iter().position(|digit| *digit == byte);
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut held) = (0_usize, 0);
    for value in text.bytes().filter_map(digit) {
        bits = bits << 6 | value;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held & 0xff).expect("a byte"));
            bits &= (1 << held) - 1;
        }
    }
    bytes
}
