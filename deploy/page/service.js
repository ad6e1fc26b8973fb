// What the page asks of the service. The key lives in this object alone and is gone with the page.

import * as npy from "./npy.js";

const TRIES = 6;
const MOST_TOGETHER = 256; // windows of a request, fewer where the service's limits say so

/** A refusal, in the service's own words. */
export class Refused extends Error {
  constructor(status, message, reason) {
    super(message);
    this.status = status;
    this.reason = reason;
  }
}

export class Service {
  constructor() {
    this.key = "";
  }

  models() { return this.#json("/v1/models"); }
  info(model) { return this.#json("/v1/info", { model }); }
  examples(model) { return this.#json("/page/examples", { model }); }
  windows(model, set) { return this.#json("/page/windows", set ? { model, set } : { model }); }
  drift() { return this.#json("/v1/drift"); }

  /** Embeddings of windows, which are none of those whose drift is watched, {values: Float32Array, features}; sent in parts that the service's limits allow. */
  async embed(info, windows, progress, signal) {
    const { max_body_bytes: body, max_windows: most, max_samples: samples } = info.limits;
    const channels = info.channels.length;
    const longest = Math.max(...windows.map((one) => one.steps));
    if (longest > samples) throw new Error(`expected windows of at most ${samples} time steps, got ${longest}: take shorter ones`);
    const size = Math.max(1, Math.min(MOST_TOGETHER, most, Math.floor((body - 512) / (4 * channels * longest))));
    let values = null;
    let features = 0;
    for (let begin = 0; begin < windows.length; begin += size) {
      const part = windows.slice(begin, begin + size);
      const steps = Math.max(...part.map((one) => one.steps));
      const bytes = npy.write(together(part, channels, steps), [part.length, channels, steps]);
      const answer = await this.#ask("/v1/embed", { model: info.model, counted: "no" }, {
        method: "POST",
        body: bytes,
        signal,
        headers: { "Content-Type": "application/x-npy", Accept: "application/x-npy" },
      });
      const made = npy.read(await answer.arrayBuffer());
      features = made.shape[1];
      values ??= new Float32Array(windows.length * features);
      values.set(made.values, begin * features);
      progress(Math.min(windows.length, begin + size));
    }
    return { values, features };
  }

  async #json(path, query) {
    return (await this.#ask(path, query, {})).json();
  }

  /** An answer that is none of a refusal; asks again where the service says that it is busy. */
  async #ask(path, query, options) {
    const url = query ? `${path}?${new URLSearchParams(query)}` : path;
    const headers = { ...options.headers, ...(this.key ? { "X-Api-Key": this.key } : {}) };
    for (let attempt = 1; ; attempt += 1) {
      let answer;
      try {
        answer = await fetch(url, { ...options, headers, credentials: "omit" });
      } catch (error) {
        if (error.name === "AbortError") throw error;
        throw new Error("the service does not answer: is it still running?");
      }
      if (answer.ok) return answer;
      if ((answer.status === 429 || answer.status === 503) && attempt < TRIES) {
        await sleep(1000 * Math.min(10, Number(answer.headers.get("Retry-After")) || 1));
        continue;
      }
      throw await refusal(answer);
    }
  }
}

async function refusal(answer) {
  try {
    const { error } = await answer.json();
    return new Refused(answer.status, error.message, error.reason);
  } catch {
    return new Refused(answer.status, `the service answered ${answer.status}`);
  }
}

/** (n, channel, steps) float32, NaN behind the end of shorter windows: padding changes nothing. */
function together(windows, channels, steps) {
  const out = new Float32Array(windows.length * channels * steps).fill(NaN);
  windows.forEach((one, row) => one.values.forEach((values, channel) => out.set(values, (row * channels + channel) * steps)));
  return out;
}

function sleep(milliseconds) {
  return new Promise((done) => { setTimeout(done, milliseconds); });
}
