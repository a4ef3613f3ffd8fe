// The state of the fleet: the header, the totals and the table of workers.

import { $, bytes, count, lossesOf, make, number, put, rate, say, span, sum, tell, things } from "./show.js";
import { spark } from "./plot.js";

/** The rows of the table; who has more workers sorts what matters to the top. */
const ROWS_MAX = 200;
/** The rates of a row's own line. */
const HISTORY = 32;
/** A lag below this is the drain's ordinary beat. */
const LAG_SHOWN = 1;

const COLUMNS = [
  { title: "Name", key: "name", of: (w) => w.name, kind: "name" },
  { title: "Pid", key: "pid", of: (w) => w.pid, kind: "number" },
  { title: "Way", key: "transport", of: (w) => w.transport, kind: "" },
  { title: "Rate", key: "rate", of: (w) => w.rate, kind: "number" },
  { title: "History", key: "", kind: "" },
  { title: "Waiting", key: "queued", of: (w) => number(w.queued_bytes), kind: "number" },
  { title: "Lag", key: "lag", of: (w) => number(w.lag_seconds), kind: "number" },
  { title: "Dropped", key: "dropped", of: (w) => w.lost, kind: "number" },
  { title: "Errors", key: "errors", of: (w) => number(w.errors), kind: "number" },
  { title: "Last error", key: "last", of: (w) => -(w.last_error?.seconds_ago ?? Infinity), kind: "last" },
];

export class Fleet {
  #before = new Map();
  #sort = { key: "rate", descending: true };
  #state = null;
  #said = "";
  #onChoose;

  constructor(onChoose) {
    this.#onChoose = onChoose;
    this.#headline();
  }

  /** Takes a state; returns its workers with their rates. */
  take(state) {
    // The listener's clock: states may come late, and several at once.
    const now = number(state.listener?.uptime_seconds);
    const workers = (state.workers ?? []).map((worker) => this.#rated(worker, now));
    const there = new Set(workers.map((worker) => worker.id));
    for (const id of this.#before.keys()) if (!there.has(id)) this.#before.delete(id);
    this.#state = { ...state, workers };
    this.#header(state);
    this.#totals(this.#state);
    this.#table();
    this.#names(workers);
    return workers;
  }

  /** The listener does not answer. */
  trouble(why) {
    $("dot").className = "dot bad";
    this.#banner(why);
  }

  /** A worker with its rate: what it wrote since the last state, or what the listener tells. */
  #rated(worker, now) {
    const key = `${worker.name}\n${worker.pid}`;
    const id = `${key}\n${worker.transport}`;
    const before = this.#before.get(id);
    const written = number(worker.written);
    const told = worker.history ?? [];
    let history = before?.history ?? (told.length > 0 ? told.slice(-HISTORY) : [number(worker.records_per_second)]);
    let rate_now = number(worker.records_per_second);
    if (before) {
      // A listener that is another one begins anew.
      const seconds = now > before.now ? Math.max(0.5, now - before.now) : 1;
      rate_now = Math.max(0, written - before.written) / seconds;
      history = [...history, rate_now].slice(-HISTORY);
    }
    this.#before.set(id, { now, written, history });
    const lost = sum(Object.values(worker.dropped ?? {})) + number(worker.missing);
    const losses = lossesOf(worker);
    return { ...worker, key, id, history, rate: rate_now, lost, losses };
  }

  #header({ listener = {} }) {
    $("dot").className = listener.paused ? "dot bad" : "dot good";
    const parts = [
      listener.paused ? "paused" : "listening",
      `pid ${listener.pid ?? "?"}`,
      `up ${span(listener.uptime_seconds)}`,
      listener.run_dir ?? "",
      `version ${listener.version ?? "?"}`,
    ];
    put($("about"), parts.filter(Boolean).join(" · "));
    this.#banner(listener.paused ? `The listener is paused: ${listener.paused}` : "");
  }

  #banner(text) {
    tell($("banner"), text);
    if (text !== this.#said) say(text || "The listener writes again.");
    this.#said = text;
  }

  #totals({ totals = {}, workers, sinks = [], workers_left_out: leftOut }) {
    const fleet = totals.records_per_second ?? sum(workers.map((worker) => worker.rate));
    put($("total-rate"), rate(fleet));
    put($("total-rate-more"), `${count(totals.written)} in all, ${bytes(totals.bytes)}`);
    put($("total-workers"), count(totals.connected));
    put($("total-workers-more"), `${count(totals.workers)} seen, ${count(totals.died)} died${leftOut ? `, ${count(leftOut)} not listed` : ""}`);

    const slowest = workers.reduce((most, worker) => (number(worker.lag_seconds) > number(most?.lag_seconds) ? worker : most), null);
    const lag = number(slowest?.lag_seconds);
    put($("total-lag"), lag > 0 ? span(lag) : "none");
    const waiting = sum(workers.map((worker) => worker.queued_bytes));
    put($("total-lag-more"), waiting > 0 ? `${bytes(waiting)} wait${lag > LAG_SHOWN ? `, ${slowest.name}` : ""}` : "nothing waits");
    $("total-lag-card").className = lag > 10 ? "bad" : lag > LAG_SHOWN ? "warn" : "";

    const losses = lossesOf(totals);
    put($("total-dropped"), count(losses.records) + (losses.unknown > 0 ? ` + ${count(losses.unknown)} ×` : ""));
    put($("total-dropped-more"), losses.text || "nothing is lost");
    $("total-dropped-card").className = losses.isRecent ? "bad" : "";
    $("total-dropped-card").title = losses.first ? `the first time at ${losses.first}` : "";

    const { error, warn } = totals.levels ?? {};
    put($("total-errors"), totals.levels ? `${count(error)}, ${count(warn)}` : "–");
    const offences = number(totals.offences);
    put($("total-errors-more"), offences > 0 ? `${things(offences, "offence")} of clients` : `${count(totals.truncated)} records cut`);
    $("total-errors-card").className = number(error) > 0 ? "warn" : "";

    this.#disk(sinks);
  }

  #disk(sinks) {
    const disks = sinks.filter((sink) => typeof sink.disk_free_bytes === "number");
    const least = disks.reduce((least, sink) => (!least || sink.disk_free_bytes < least.disk_free_bytes ? sink : least), null);
    put($("total-disk"), least ? bytes(least.disk_free_bytes) : "–");
    const kept = sum(sinks.map((sink) => sink.total_bytes));
    const [bounded] = sinks.filter((sink) => number(sink.total_bytes_max) > 0);
    const most = bounded && sinks.length === 1 ? ` of ${bytes(bounded.total_bytes_max)}` : "";
    put($("total-disk-more"), `logs keep ${bytes(kept)}${most}`);
    const share = least?.disk_total_bytes ? least.disk_free_bytes / least.disk_total_bytes : 1;
    const failing = sinks.some((sink) => sink.error);
    $("total-disk-card").className = failing || share < 0.02 ? "bad" : share < 0.1 ? "warn" : "";
  }

  #headline() {
    const cells = COLUMNS.map(({ title, key, kind }) => {
      const cell = make("th", kind === "number" ? "number" : "");
      cell.scope = "col";
      if (!key) {
        cell.textContent = title;
        return cell;
      }
      const button = make("button", "", title);
      button.type = "button";
      button.addEventListener("click", () => {
        const { descending } = this.#sort;
        const again = this.#sort.key === key;
        this.#sort = { key, descending: again ? !descending : kind === "number" || key === "last" };
        this.#table();
      });
      cell.append(button);
      return cell;
    });
    $("workers-head").replaceChildren(...cells);
  }

  #table() {
    const { key, descending } = this.#sort;
    COLUMNS.forEach((column, at) => {
      const cell = $("workers-head").children[at];
      if (column.key === key) cell.setAttribute("aria-sort", descending ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    });
    if (!this.#state) return;
    const { of } = COLUMNS.find((column) => column.key === key);
    const order = (one, other) => compare(of(one), of(other)) * (descending ? -1 : 1);
    const sorted = [...this.#state.workers].sort((one, other) => order(one, other) || compare(one.id, other.id));
    const rows = sorted.slice(0, ROWS_MAX).map((worker) => this.#row(worker));
    const focus = document.activeElement?.closest?.("#workers button")?.dataset.id;
    $("workers").replaceChildren(...rows);
    if (focus !== undefined) {
      [...$("workers").querySelectorAll("button")].find((button) => button.dataset.id === focus)?.focus({ preventScroll: true });
    }
    const more = sorted.length - rows.length + number(this.#state.workers_left_out);
    tell($("workers-more"), more > 0 ? `${things(more, "more worker")} not shown; \`fleetlog status --json\` has them` : "");
  }

  #row(worker) {
    const row = make("tr", worker.connected ? "" : "gone");
    const name = make("td", "name");
    const button = make("button", "link", worker.name);
    button.type = "button";
    button.title = `Lines of ${worker.name} only`;
    button.dataset.id = worker.id;
    button.addEventListener("click", () => this.#onChoose(worker.name));
    name.append(button);
    if (!worker.connected) name.append(make("span", "note", " gone"));
    const history = make("td");
    history.append(spark(worker.history));
    const way = make("td", worker.fallback ? "warn" : "", worker.transport);
    if (worker.fallback) way.title = `no lanes: ${worker.fallback}`;
    const lag = number(worker.lag_seconds);
    const lost = make("td", worker.losses.isRecent ? "number bad" : "number", count(worker.lost));
    lost.title = worker.losses.text;
    const last = worker.last_error;
    const message = last ? `${span(last.seconds_ago)} ago: ${last.message}` : "";
    const lastCell = make("td", "last", message);
    lastCell.title = message;
    row.append(
      name,
      make("td", "number", String(worker.pid)),
      way,
      make("td", "number", rate(worker.rate)),
      history,
      make("td", "number", number(worker.queued_bytes) > 0 ? bytes(worker.queued_bytes) : "–"),
      make("td", lag > LAG_SHOWN ? "number warn" : "number", lag > 0 ? span(lag) : "–"),
      lost,
      make("td", number(worker.errors) > 0 ? "number warn" : "number", count(worker.errors)),
      lastCell,
    );
    return row;
  }

  /** The names that a filter's field offers. */
  #names(workers) {
    const list = $("worker-names");
    const names = [...new Set(workers.map((worker) => worker.name))].sort().slice(0, ROWS_MAX);
    if (list.dataset.names === names.join("\n")) return;
    list.dataset.names = names.join("\n");
    list.replaceChildren(...names.map((name) => {
      const option = make("option");
      option.value = name;
      return option;
    }));
  }
}

function compare(one, other) {
  if (typeof one === "string") return one.localeCompare(other, "en", { numeric: true });
  return one < other ? -1 : one > other ? 1 : 0;
}
