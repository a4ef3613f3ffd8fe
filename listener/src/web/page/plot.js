// The plot: the rates of the busiest workers over the last minutes, one above the other, so that
// their upper edge is the rate of the fleet.

import { $, draw, make, put, rate, short, sum } from "./show.js";

/** The seconds that are shown. */
const SPAN = 300;
/** The workers with a colour of their own; the rest is one area. */
const TOP = 8;
/** The busiest are chosen anew so often, in states. */
const CHOICE = 5;

const [WIDTH, HEIGHT, LEFT, BOTTOM, ABOVE] = [640, 188, 40, 18, 8];

/** The rates of a worker, the newest last, as many as the plot shows. */
class Rates {
  constructor() {
    this.values = [];
  }

  push(value) {
    this.values.push(value);
    if (this.values.length > SPAN) this.values.shift();
  }

  at(age) {
    return this.values[this.values.length - 1 - age] ?? 0;
  }

  mean(ages) {
    return sum(this.values.slice(-ages)) / ages;
  }
}

export class Plot {
  #rates = new Map();
  #colors = new Map();
  #states = 0;
  #onChoose;

  constructor(onChoose) {
    this.#onChoose = onChoose;
    new ResizeObserver(() => this.#draw()).observe($("plot"));
  }

  /** Takes the state's workers: `{key, name, rate, history}`. */
  take(workers) {
    const there = new Map();
    for (const worker of workers) {
      const same = there.get(worker.key);
      if (same) same.rate += worker.rate;
      else there.set(worker.key, { ...worker });
    }
    for (const [key, worker] of there) {
      let rates = this.#rates.get(key);
      if (!rates) {
        rates = new Rates();
        rates.name = worker.name;
        this.#rates.set(key, rates);
        for (const value of worker.history.slice(0, -1)) rates.push(value);
      }
      rates.push(worker.rate);
    }
    for (const [key, rates] of this.#rates) {
      if (there.has(key)) continue;
      rates.push(0);
      if (rates.values.every((value) => value === 0)) this.#rates.delete(key);
    }
    if (this.#states % CHOICE === 0) this.#choose();
    this.#states += 1;
    this.#draw();
    this.#legend();
  }

  /** The busiest workers get the colours; who has one already keeps it. */
  #choose() {
    const busiest = [...this.#rates]
      .sort((one, other) => other[1].mean(60) - one[1].mean(60))
      .slice(0, TOP)
      .map(([key]) => key);
    for (const key of this.#colors.keys()) {
      if (!busiest.includes(key)) this.#colors.delete(key);
    }
    const free = [...Array(TOP).keys()].filter((color) => ![...this.#colors.values()].includes(color));
    for (const key of busiest) {
      if (!this.#colors.has(key)) this.#colors.set(key, free.shift());
    }
  }

  /** The areas from below: the workers with a colour, and all others. */
  #areas() {
    const areas = [...this.#colors]
      .sort((one, other) => one[1] - other[1])
      .map(([key, color]) => ({ kind: `s${color}`, key, of: [this.#rates.get(key)].filter(Boolean) }));
    const others = [...this.#rates].filter(([key]) => !this.#colors.has(key)).map(([, rates]) => rates);
    if (others.length > 0) areas.push({ kind: "others", name: `${others.length} others`, of: others });
    return areas;
  }

  #draw() {
    const place = $("plot");
    const width = Math.max(240, place.clientWidth || WIDTH);
    const height = Math.max(120, place.clientHeight || HEIGHT);
    const areas = this.#areas();
    const ages = Math.max(30, Math.min(SPAN, ...[Math.max(2, ...[...this.#rates.values()].map((r) => r.values.length))]));
    const heap = new Array(ages).fill(0);
    const edges = areas.map((area) => {
      const below = heap.slice();
      for (let age = 0; age < ages; age += 1) heap[age] += sum(area.of.map((rates) => rates.at(age)));
      return { kind: area.kind, below, above: heap.slice() };
    });
    const top = nice(Math.max(2, ...heap));
    const x = (age) => (width - 4 - (age / (ages - 1)) * (width - LEFT - 4)).toFixed(1);
    const y = (value) => (height - BOTTOM - (value / top) * (height - BOTTOM - ABOVE)).toFixed(1);
    const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": summary(heap[0], areas.length) });
    for (const share of [0, 0.5, 1]) {
      const level = y(top * share);
      svg.append(draw("line", { class: "grid", x1: LEFT, x2: width - 4, y1: level, y2: level }));
      svg.append(label(LEFT - 5, Number(level) + 4, "end", short(top * share)));
    }
    for (const { kind, below, above } of edges) {
      const over = above.map((value, age) => `${x(age)},${y(value)}`);
      const under = below.map((value, age) => `${x(age)},${y(value)}`).reverse();
      svg.append(draw("path", { class: kind, d: `M${over.join("L")}L${under.join("L")}Z` }));
    }
    for (const share of [0, 0.5, 1]) {
      const age = Math.round(ages * share);
      const text = age === 0 ? "now" : age >= 120 ? `−${Math.round(age / 60)} min` : `−${age} s`;
      const anchor = share === 0 ? "end" : share === 1 ? "start" : "middle";
      svg.append(label(x(share * (ages - 1)), height - 4, anchor, text));
    }
    place.replaceChildren(svg);
  }

  /** The names with their rates now; each is a button that filters the lines. */
  #legend() {
    const list = $("legend");
    const rows = [];
    const entries = this.#areas().map(({ kind, key, name, of }) => {
      const called = name ?? of[0]?.name ?? "";
      const [now, mean] = [sum(of.map((rates) => rates.at(0))), sum(of.map((rates) => rates.mean(60)))];
      const most = Math.max(0, ...(of.length === 1 ? of[0].values : [now]));
      const row = make("tr");
      row.append(make("th", "", called), ...[now, mean, most].map((value) => make("td", "", rate(value))));
      rows.push(row);
      return { kind, key, called, now: rate(now) };
    });
    $("plot-table").replaceChildren(...rows);
    const shape = entries.map(({ kind, called }) => `${kind} ${called}`).join("\n");
    if (list.dataset.shape !== shape) {
      // Only then: a button that is replaced loses the focus.
      list.dataset.shape = shape;
      list.replaceChildren(...entries.map((entry) => this.#entry(entry)));
    }
    entries.forEach((entry, at) => put(list.children[at].querySelector("b"), entry.now));
  }

  #entry({ kind, key, called }) {
    const button = make("button");
    button.type = "button";
    button.append(make("span", `swatch ${kind}`), make("span", "", called), make("b"));
    button.title = key ? `Lines of ${called} only` : "Lines of every worker";
    button.addEventListener("click", () => this.#onChoose(key ? called : ""));
    const item = make("li");
    item.append(button);
    return item;
  }
}

function label(x, y, anchor, text) {
  const element = draw("text", { x, y, "text-anchor": anchor });
  element.textContent = text;
  return element;
}

const summary = (now, areas) =>
  `Records a second by worker, ${areas} areas; the fleet logs ${rate(now)} a second now. A table follows.`;

/** The next number that reads well. */
function nice(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 5, 6, 8, 10].map((digit) => digit * power).find((step) => step >= value) ?? value;
}

/** A line of the last rates, for a cell. */
export function spark(values) {
  const [width, height] = [96, 18];
  const svg = draw("svg", { class: "spark", viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
  const most = Math.max(1, ...values);
  const points = values.map((value, at) => {
    const x = (at / Math.max(1, values.length - 1)) * width;
    return `${x.toFixed(1)},${(height - 1 - (value / most) * (height - 2)).toFixed(1)}`;
  });
  if (points.length > 1) svg.append(draw("path", { d: `M${points.join("L")}` }));
  return svg;
}
