// Showing: elements, texts and numbers. Everything that comes from a record becomes text of the
// document by `textContent`, never markup.

export const $ = (id) => document.getElementById(id);

/** An element with a class and a text. */
export function make(name, kind = "", text = "") {
  const element = document.createElement(name);
  if (kind) element.className = kind;
  if (text !== "") element.textContent = text;
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

/** An element of a drawing. */
export function draw(name, attributes = {}) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

/** Sets a text, and touches nothing when it is the same: a selection in it stays. */
export function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Shows an element with a text, or hides it when there is none. */
export function tell(element, text) {
  put(element, text);
  element.hidden = text === "";
}

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const fine = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

/** A number, and 0 for what the listener does not tell. */
export const number = (value) => (typeof value === "number" && Number.isFinite(value) ? value : 0);

/** A number of things. */
export const count = (value) => whole.format(number(value));

/** A rate: below ten with a tenth. */
export const rate = (value) => (number(value) < 10 ? fine : whole).format(number(value));

/** A number that must be short. */
export function short(value) {
  const units = ["", "k", "M", "G"];
  let unit = 0;
  let rest = number(value);
  while (rest >= 1000 && unit + 1 < units.length) {
    rest /= 1000;
    unit += 1;
  }
  return (rest < 10 && unit > 0 ? fine : whole).format(rest) + units[unit];
}

/** Bytes in the largest fitting unit. */
export function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let unit = 0;
  let rest = number(value);
  while (rest >= 1024 && unit + 1 < units.length) {
    rest /= 1024;
    unit += 1;
  }
  return `${(unit > 0 ? fine : whole).format(rest)} ${units[unit]}`;
}

/** A time span in its two largest units. */
export function span(seconds) {
  const all = Math.max(0, number(seconds));
  if (all < 1) return `${Math.round(all * 1000)} ms`;
  if (all < 10) return `${fine.format(all)} s`;
  const [s, m, h, d] = [all % 60, (all / 60) % 60, (all / 3600) % 24, all / 86400].map(Math.floor);
  if (all < 60) return `${s} s`;
  if (all < 3600) return `${m} min ${s} s`;
  if (all < 86400) return `${h} h ${m} min`;
  return `${d} d ${h} h`;
}

/** One of something, or several. */
export const things = (value, one) => `${count(value)} ${one}${number(value) === 1 ? "" : "s"}`;

/** What is older is history: somebody has looked at it, or nobody will. */
const RECENT_SECONDS = 3600;

/**
 * What is lost of a worker, or of all: records where somebody counted them, and how often where nobody
 * knows how many they were.
 */
export function lossesOf({ losses = {} }) {
  const each = Object.entries(losses);
  const known = each.filter(([, lost]) => lost.records !== null);
  const unknown = each.filter(([, lost]) => lost.records === null);
  const told = [
    ...known.map(([why, lost]) => `${why} ${count(lost.records)}`),
    ...unknown.map(([why, lost]) => `${why} ${count(lost.times)} × of unknown number`),
  ];
  const last = Math.min(...each.map(([, lost]) => number(lost.seconds_since_last)));
  if (each.length > 0) told.push(`last ${span(last)} ago`);
  return {
    records: sum(known.map(([, lost]) => lost.records)),
    unknown: sum(unknown.map(([, lost]) => lost.times)),
    first: each.map(([, lost]) => lost.first).sort()[0],
    isRecent: each.length > 0 && last < RECENT_SECONDS,
    text: told.join(", ").replaceAll("_", " "),
  };
}

export const sum = (values) => values.reduce((all, value) => all + number(value), 0);

/** Says something to those who hear the page; the same thing only once. */
export function say(text) {
  put($("spoken"), text);
}
