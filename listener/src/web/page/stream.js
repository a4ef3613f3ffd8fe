// The connection: requests with the token, and the events of this page.
//
// `EventSource` can't send a header, and a token in an address ends up in histories and logs; so
// the events are read from an ordinary answer.

const KEY = "fleetlog-token";
/** The state comes every second: a connection that is silent for so long is dead. */
const SILENCE_MS = 20_000;
const RETRY_MS = { first: 500, most: 10_000 };
/** More than any event has. */
const EVENT_MAX = 8 << 20;

let token = "";

/** Takes the token of the address, and out of the address; else the one that this tab had. */
export function findToken() {
  const told = new URLSearchParams(location.hash.slice(1)).get("token");
  if (told) {
    history.replaceState(null, "", location.pathname);
    setToken(told);
    return true;
  }
  try {
    token = sessionStorage.getItem(KEY) ?? "";
  } catch {
    token = "";
  }
  return token !== "";
}

export function setToken(told) {
  // Whatever a header can't hold is no token.
  token = told.replace(/[^\x21-\x7e]/g, "");
  try {
    sessionStorage.setItem(KEY, token);
  } catch {
    // Without a storage the token lasts as long as the page.
  }
}

export function forgetToken() {
  token = "";
  try {
    sessionStorage.removeItem(KEY);
  } catch {
    // There is none.
  }
}

const headers = () => ({ Authorization: `Bearer ${token}` });

/** Why a request was refused, in the server's words. */
async function refusal(response) {
  const why = await response.json().then((body) => body.error, () => "");
  const error = new Error(why || `the listener answered ${response.status}`);
  error.status = response.status;
  return error;
}

/** Asks for something, or changes it. */
export async function ask(path, body) {
  const options = { headers: headers(), cache: "no-store", signal: AbortSignal.timeout(20_000) };
  if (body !== undefined) {
    options.method = "POST";
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  const response = await fetch(path, options);
  if (!response.ok) throw await refusal(response);
  return response.json();
}

/** One page's events, connected again whenever they end. */
export class Stream {
  #control = new AbortController();
  #silence = 0;
  #retry = RETRY_MS.first;

  /** `on` has a function for each event's name, and `state` for how the connection fares. */
  constructor(path, on) {
    this.path = path;
    this.on = on;
    this.#run();
  }

  close() {
    this.#control.abort();
    clearTimeout(this.#silence);
  }

  async #run() {
    const over = this.#control.signal;
    while (!over.aborted) {
      let failed = new Error("the listener ended the connection");
      const one = new AbortController();
      const end = () => one.abort();
      over.addEventListener("abort", end, { once: true });
      try {
        await this.#read(one);
      } catch (error) {
        failed = error;
      }
      over.removeEventListener("abort", end);
      one.abort();
      clearTimeout(this.#silence);
      if (over.aborted) return;
      if (this.on.failed(failed) === "stop") return;
      await new Promise((resume) => setTimeout(resume, this.#retry));
      this.#retry = Math.min(this.#retry * 2, RETRY_MS.most);
    }
  }

  #hear(one) {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => one.abort(), SILENCE_MS);
  }

  async #read(one) {
    this.#hear(one);
    const options = { headers: headers(), cache: "no-store", signal: one.signal };
    const response = await fetch(this.path, options);
    if (!response.ok) throw await refusal(response);
    this.#retry = RETRY_MS.first;
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let waiting = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      this.#hear(one);
      waiting += value;
      let end;
      while ((end = waiting.indexOf("\n\n")) >= 0) {
        this.#tell(waiting.slice(0, end));
        waiting = waiting.slice(end + 2);
      }
      if (waiting.length > EVENT_MAX) throw new Error("an event has no end");
    }
  }

  #tell(event) {
    const [, name, data] = /^event: (\w+)\ndata: (.*)$/.exec(event) ?? [];
    if (name && !this.#control.signal.aborted) this.on[name]?.(JSON.parse(data));
  }
}
