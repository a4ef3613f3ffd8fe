// The levels: which changes are in force, and new ones.

import { $, make, say, span, tell } from "./show.js";
import { ask } from "./stream.js";

export class Levels {
  #isAsking = false;
  #shape = "";

  constructor() {
    $("levels-form").addEventListener("submit", (event) => {
      event.preventDefault();
      const seconds = $("for").value;
      this.#change("/levels", {
        directives: $("directives").value.trim(),
        worker: $("level-worker").value || null,
        for_seconds: seconds ? Number(seconds) : null,
      }, "The level is set.");
    });
    $("levels-reset").addEventListener("click", () => {
      this.#change("/levels/reset", { worker: null }, "Every change is taken back.");
    });
  }

  /** Asks which changes are in force; one question at a time. */
  async look() {
    if (this.#isAsking) return;
    this.#isAsking = true;
    try {
      this.#show(await ask("/levels"));
    } catch (error) {
      // The state tells of a listener that does not answer.
      if (error.status === 400) tell($("levels-error"), error.message);
    }
    this.#isAsking = false;
  }

  async #change(path, body, done) {
    try {
      this.#show(await ask(path, body));
      tell($("levels-error"), "");
      say(done);
    } catch (error) {
      tell($("levels-error"), error.message);
    }
  }

  #show({ levels = [] }) {
    const list = $("levels-rows");
    const ends = ({ seconds_left: left }) => (left === null || left === undefined ? "when taken back" : `in ${span(Math.ceil(left))}`);
    const shape = JSON.stringify(levels.map(({ directives, worker }) => [directives, worker]));
    if (shape !== this.#shape) {
      this.#shape = shape;
      list.replaceChildren(...levels.map((level) => this.#row(level)));
      if (levels.length === 0) {
        const none = make("td", "note", "Every worker logs what it was started with.");
        none.colSpan = 4;
        const row = make("tr");
        row.append(none);
        list.replaceChildren(row);
      }
    }
    levels.forEach((level, at) => { list.children[at].children[2].textContent = ends(level); });
  }

  #row({ directives, worker }) {
    const row = make("tr");
    const button = make("button", "", "Take back");
    button.type = "button";
    // Without a worker the listener would take every change back.
    button.hidden = worker === null || worker === undefined;
    button.setAttribute("aria-label", `Take back ${directives} of ${worker}`);
    button.addEventListener("click", () => this.#change("/levels/reset", { worker }, "The change is taken back."));
    const last = make("td");
    last.append(button);
    row.append(make("td", "", directives), make("td", "", worker ?? "all"), make("td"), last);
    return row;
  }
}
