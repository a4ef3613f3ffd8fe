// The page: it finds the token, opens its events and hands them to its parts.

import { $, say, tell } from "./show.js";
import { Stream, findToken, forgetToken, setToken } from "./stream.js";
import { Fleet } from "./fleet.js";
import { Levels } from "./levels.js";
import { Plot } from "./plot.js";
import { Tail } from "./tail.js";

/** The levels are asked every so many states. */
const LEVELS_EVERY = 4;

let stream = null;
let states = 0;
const tail = new Tail(open);
const choose = (worker) => tail.choose(worker);
const fleet = new Fleet(choose);
const plot = new Plot(choose);
const levels = new Levels();

/** Opens the page's events anew, as the filter is now. */
function open() {
  stream?.close();
  stream = new Stream(`/events?${tail.query()}`, {
    hello(about) {
      enter(true);
      tail.begin(about);
    },
    state(state) {
      plot.take(fleet.take(state));
      if (states % LEVELS_EVERY === 0) levels.look();
      states += 1;
    },
    trouble({ error }) {
      fleet.trouble(error);
    },
    rows(rows) {
      tail.take(rows);
    },
    failed,
  });
}

/** What follows a connection's end; `stop` = another one would fare no better. */
function failed(error) {
  if (error.status === 401) {
    forgetToken();
    enter(false);
    tell($("entrance-why"), error.message);
    return "stop";
  }
  if (error.status === 400) {
    tail.problem(error.message);
    return "stop";
  }
  states = 0;
  const why = error.status ? error.message : "The listener does not answer; this page goes on trying.";
  fleet.trouble(why);
  return "again";
}

/** Shows the page, or asks for the token. */
function enter(isOpen) {
  const was = $("entrance").hidden;
  $("entrance").hidden = isOpen;
  $("content").classList.toggle("closed", !isOpen);
  if (!isOpen && was) {
    tell($("banner"), "");
    $("token").focus();
    say("This page wants its token.");
  }
}

$("entrance-form").addEventListener("submit", (event) => {
  event.preventDefault();
  setToken($("token").value.trim());
  $("token").value = "";
  open();
});

const THEMES = ["auto", "light", "dark"];
const THEME_KEY = "fleetlog-theme";

function theme(name) {
  if (name === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  $("theme").textContent = `Theme: ${name}`;
}

function nextTheme() {
  const now = document.documentElement.dataset.theme ?? "auto";
  const next = THEMES[(THEMES.indexOf(now) + 1) % THEMES.length];
  theme(next);
  try {
    localStorage.setItem(THEME_KEY, next);
  } catch {
    // Without a storage the choice lasts as long as the page.
  }
}

try {
  const kept = localStorage.getItem(THEME_KEY);
  if (THEMES.includes(kept)) theme(kept);
} catch {
  // The system's choice, then.
}
$("theme").addEventListener("click", nextTheme);
$("help-open").addEventListener("click", () => $("help").showModal());

const KEYS = {
  "/": () => { $("text").focus(); $("text").select(); },
  " ": () => tail.pause(),
  "?": () => $("help").showModal(),
  l: () => $("directives").focus(),
  w: () => document.querySelector("#workers-head button").focus(),
  t: nextTheme,
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || $("help").open || !$("entrance").hidden) return;
  const at = event.target;
  const isField = at.matches("input, select, textarea");
  if (event.key === "Escape" && isField) {
    // A search field would be emptied, too.
    event.preventDefault();
    $("rows").focus();
    return;
  }
  if (event.key === "End" && at === $("rows")) tail.follow();
  // A field wants its characters, and a button its space.
  if (isField || (event.key === " " && at.matches("button, summary, a"))) return;
  const act = KEYS[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});

// A link with a new token, opened in this tab, changes nothing but the fragment.
addEventListener("hashchange", () => {
  if (location.hash.startsWith("#token=") && findToken()) open();
});

if (findToken()) open();
else enter(false);
