// The lines: what the log gets, as it gets it. At most ROWS_MAX rows stand in the document, and
// at most as many wait while the page is paused.

import { $, count, make, say, tell, things } from "./show.js";

const ROWS_MAX = 2000;
/** A text of more characters, or of more lines, begins folded. */
const LONG = 600;
/** Pixels from the end at which the list still follows. */
const NEAR = 24;
/** The wait after a key in a filter's field. */
const TYPING_MS = 350;
/** The pause between two times at which rows are added: layout is what costs a browser most. */
const SHOW_MS = 150;

const FIELDS = ["level", "worker", "target", "text"];

export class Tail {
  #waiting = [];
  #passed = 0;
  #isPaused = false;
  #isFollowing = true;
  #isScheduled = false;
  #seen = 0;
  #top = 0;
  #typing = 0;
  #logs = "";
  #asked = "";
  #onFilter;

  constructor(onFilter) {
    this.#onFilter = onFilter;
    this.#asked = this.query();
    $("filter").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#filter();
    });
    $("filter").addEventListener("input", () => {
      clearTimeout(this.#typing);
      this.#typing = setTimeout(() => this.#filter(), TYPING_MS);
    });
    $("filter").addEventListener("change", () => this.#filter());
    $("pause").addEventListener("click", () => this.pause());
    $("clear").addEventListener("click", () => this.clear());
    $("follow").addEventListener("click", () => this.follow());
    new ResizeObserver(() => { if (this.#isFollowing) this.#toEnd(); }).observe($("rows"));
    $("rows").addEventListener("scroll", () => this.#scrolled(), { passive: true });
  }

  /** What is asked of the listener. */
  query() {
    const query = new URLSearchParams();
    for (const name of FIELDS) if ($(name).value) query.set(name, $(name).value);
    const [log, file] = ($("log").value || "").split("\n");
    if (log) query.set("log", log);
    if (file) query.set("file", file);
    return query.toString();
  }

  /** The lines of one worker, or of all. */
  choose(worker) {
    $("worker").value = worker;
    this.#filter();
    say(worker ? `Lines of ${worker} only.` : "Lines of every worker.");
  }

  /** A connection begins: what it shows stands for itself. */
  begin({ logs }) {
    this.#waiting = [];
    this.#passed = 0;
    $("rows").replaceChildren();
    this.#isFollowing = true;
    this.#seen = 0;
    this.problem("");
    this.#offer(logs);
    this.#status();
  }

  /** Takes rows. */
  take(rows) {
    for (const row of rows) this.#waiting.push(row);
    const over = this.#waiting.length - ROWS_MAX;
    if (over > 0) {
      this.#waiting.splice(0, over);
      this.#passed += over;
    }
    this.#schedule();
  }

  problem(text) {
    tell($("filter-error"), text);
    for (const name of FIELDS) $(name).toggleAttribute("aria-invalid", false);
    const field = FIELDS.find((name) => text.startsWith(`${name}: `));
    if (field) $(field).setAttribute("aria-invalid", "true");
  }

  pause() {
    this.#isPaused = !this.#isPaused;
    $("pause").setAttribute("aria-pressed", String(this.#isPaused));
    $("pause").textContent = this.#isPaused ? "Go on" : "Pause";
    say(this.#isPaused ? "The lines are paused." : "The lines go on.");
    this.#schedule();
    this.#status();
  }

  clear() {
    $("rows").replaceChildren();
    this.#waiting = [];
    this.#passed = 0;
    this.#isFollowing = true;
    this.#status();
  }

  /** Goes to the newest line and stays there. */
  follow() {
    this.#isFollowing = true;
    this.#toEnd();
    this.#status();
  }

  #filter() {
    clearTimeout(this.#typing);
    const asked = this.query();
    if (asked === this.#asked) return;
    this.#asked = asked;
    this.#onFilter();
  }

  #offer(logs) {
    const shape = JSON.stringify(logs);
    $("log-field").hidden = logs.length < 2;
    if (shape === this.#logs) return;
    this.#logs = shape;
    const chosen = $("log").value;
    $("log").replaceChildren(...logs.map(({ log, file, name, path }) => {
      const option = make("option", "", name);
      option.value = `${log}\n${file}`;
      option.title = path;
      return option;
    }));
    if (chosen) $("log").value = chosen;
    this.#asked = this.query();
  }

  #schedule() {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setTimeout(() => {
      this.#isScheduled = false;
      this.#show();
    }, SHOW_MS);
  }

  #show() {
    if (!this.#isPaused && this.#waiting.length > 0) {
      const list = $("rows");
      const fragment = document.createDocumentFragment();
      if (this.#passed > 0) {
        fragment.append(markOf(`${things(this.#passed, "line")} passed by while this page did not show them`));
      }
      for (const row of this.#waiting) fragment.append("mark" in row ? markOf(row.mark) : lineOf(row));
      this.#seen += this.#waiting.length + this.#passed;
      this.#waiting = [];
      this.#passed = 0;
      list.append(fragment);
      while (list.childElementCount > ROWS_MAX) list.firstElementChild.remove();
      if (this.#isFollowing) this.#toEnd();
    }
    this.#status();
  }

  #toEnd() {
    const list = $("rows");
    list.scrollTop = list.scrollHeight;
    this.#top = list.scrollTop;
  }

  #scrolled() {
    const list = $("rows");
    // Only whoever goes up leaves the end: it moves away from others, too.
    const isUp = list.scrollTop < this.#top;
    this.#top = list.scrollTop;
    const isNear = list.scrollHeight - list.clientHeight - list.scrollTop <= NEAR;
    if (isNear === this.#isFollowing || (!isNear && !isUp)) return;
    this.#isFollowing = isNear;
    this.#status();
  }

  #status() {
    const rows = $("rows").childElementCount;
    const held = this.#waiting.length + this.#passed;
    $("follow").hidden = this.#isFollowing;
    const state = this.#isPaused
      ? `Paused; ${things(held, "line")} wait.`
      : this.#isFollowing ? "Following." : "Scrolled up; new lines are added below.";
    const shown = rows === 0 ? "No line yet that fits." : `${things(rows, "row")} of ${count(this.#seen)}.`;
    const text = `${state} ${shown}`;
    if ($("tail-state").textContent !== text) $("tail-state").textContent = text;
  }
}

function markOf(text) {
  return make("div", "row mark", text);
}

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

/** A time of day with milliseconds, local. */
function timeOf(text) {
  const time = new Date(text);
  if (Number.isNaN(time.getTime())) return text;
  return `${clock.format(time)}.${String(time.getMilliseconds()).padStart(3, "0")}`;
}

function lineOf(row) {
  if (row.level === undefined) {
    const line = make("div", "row");
    line.append(make("span", "time", "·"), bodyOf(row, "foreign"));
    return line;
  }
  const line = make("div", `row ${row.level}`);
  const time = make("span", "time", timeOf(row.time));
  time.title = row.time;
  const worker = make("span", "worker", row.worker);
  worker.title = `${row.worker}[${row.pid}]`;
  line.append(time, make("span", "level", row.level), worker, bodyOf(row, "event"));
  return line;
}

/** Where the line comes from and what it says; a long text begins folded. */
function bodyOf(row, kind) {
  const body = make("span", kind);
  if (row.target !== undefined) {
    const where = row.spans ? `${row.spans}: ${row.target}: ` : `${row.target}: `;
    body.append(make("span", "where", where));
  }
  const isLong = row.text.length > LONG || row.left_out > 0;
  const text = make("span", isLong ? "long" : "", row.text);
  body.append(text);
  if (isLong) {
    const rest = row.left_out > 0 ? `; ${count(row.left_out)} bytes more in the log` : "";
    const button = make("button", "", `all of it${rest}`);
    button.type = "button";
    button.setAttribute("aria-expanded", "false");
    button.addEventListener("click", () => {
      const isOpen = text.classList.toggle("open");
      button.setAttribute("aria-expanded", String(isOpen));
      button.textContent = isOpen ? `less of it${rest}` : `all of it${rest}`;
    });
    body.append(button);
  }
  return body;
}
