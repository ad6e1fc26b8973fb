// The page: what is held, and who is told when it changes.

import { about } from "./about.js";
import { All, spoken } from "./all.js";
import { ink, painter, shades, swatch } from "./colour.js";
import * as csv from "./csv.js";
import * as drift from "./drift.js";
import { element } from "./element.js";
import * as legend from "./legend.js";
import { Map2d } from "./map.js";
import { nearest } from "./neighbours.js";
import { plane } from "./pca.js";
import { SeriesPlot, TOGETHER } from "./series.js";
import { Service } from "./service.js";
import { themed } from "./theme.js";
import * as windowsOf from "./windows.js";

const LARGEST = 64 * 2 ** 20; // bytes of a file that a browser reads without strain
const NONE_CHOSEN = "Choose a window: it is drawn here with its nearest neighbours.";

const $ = (id) => document.getElementById(id);
const chosen = (name) => document.querySelector(`input[name=${name}]:checked`).value;
const service = new Service();
const map = new Map2d($("map"), choose);
const series = new SeriesPlot($("series"));
const all = new All($("all"), choose);

let info = null; // of the model
let held = null; // {windows, embeddings, plane, source}
let paint = null;
let row = null; // the chosen window
let hidden = new Set(); // labels that are switched off
let files = []; // that were dropped last
let hopOf = null; // with which they were cut
let running = null; // AbortController of the embedding that runs

function say(text) {
  $("status").textContent = text;
}

/** Runs something; what goes wrong is said where it is seen and heard. */
async function trying(work) {
  $("problem").hidden = true;
  try {
    await work();
  } catch (error) {
    if (error.name === "AbortError") return;
    if (error.status === 401) {
      $("key-form").hidden = false;
      $("key").focus();
      if (service.key) problem("That key is not one of this service.");
      say("This service asks for an API key.");
      return;
    }
    problem(`${error.message[0].toUpperCase()}${error.message.slice(1)}`);
    say("That did not work; the message above says why.");
  }
}

function problem(text) {
  $("problem").textContent = text;
  $("problem").hidden = false;
}

async function begin() {
  say("Asking the service…");
  const { models } = await service.models();
  $("key-form").hidden = true;
  $("model").replaceChildren(...models.map((name) => new Option(name)));
  $("model").disabled = models.length < 2;
  await change();
}

/** Another model: what was drawn is embedded again where it has its channels. */
async function change() {
  running?.abort();
  $("progress").hidden = true;
  $("draw").disabled = true;
  info = await service.info($("model").value);
  clear();
  about($, info);
  const examples = await service.examples(info.model);
  $("set").replaceChildren(...examples.sets.map(({ name, shape }) => Object.assign(new Option(name, name), { title: shape })), new Option("the model's own windows", ""));
  $("set-says").textContent = examples.says;
  $("draw").disabled = false;
  say(`${info.model} is ready: drop a CSV, or draw windows.`);
  await measure();
}

async function measure() {
  drift.draw($("drift"), await service.drift(), info.model);
}

/** Files -> windows -> embeddings -> the map. */
async function read(list) {
  if (!info) throw new Error("the service has not yet said which model it serves: drop the file again in a moment");
  const large = list.find((file) => file.size > LARGEST);
  if (large) throw new Error(`expected a file of at most ${LARGEST / 2 ** 20} MB, got ${Math.ceil(large.size / 2 ** 20)} MB of ${large.name}: cut it, or use tsrep embed`);
  const hop = Number($("hop").value);
  if (!Number.isInteger(hop) || hop < 1) throw new Error(`expected a window every so many steps, 1 at least, got '${$("hop").value}'`);
  const windows = [];
  const notes = [];
  for (const file of list) {
    const text = await file.text();
    try {
      const made = windowsOf.cut(csv.parse(text), { wanted: info.channels, length: info.length, hop, file: file.name });
      windows.push(...made.windows);
      notes.push(...made.notes);
    } catch (error) {
      throw new Error(`in ${file.name}: ${error.message}`);
    }
  }
  if (windows.length > windowsOf.MOST) throw new Error(`expected at most ${windowsOf.MOST} windows to draw, got ${windows.length}: drop fewer files`);
  [files, hopOf] = [list, hop];
  await show(windows, list.length === 1 ? list[0].name : `${list.length} files`, [...new Set(notes)]);
}

async function draw() {
  const name = $("set").value;
  const told = await service.windows(info.model, name);
  const windows = told.windows.map((channels, at) => ({
    series: name || "the model", start: 0, time: null, label: told.label?.[at] ?? null, steps: channels[0].length,
    values: channels.map((values) => Float32Array.from(values, (value) => value ?? NaN)),
  }));
  files = [];
  await show(windows, name || "the model's own windows", []);
}

async function show(windows, source, notes) {
  running?.abort();
  running = new AbortController();
  const { signal } = running;
  $("progress").hidden = false;
  Object.assign($("progress"), { max: windows.length, value: 0 });
  try {
    const embeddings = await service.embed(info, windows, (done) => {
      $("progress").value = done;
      say(`Embedding ${windows.length} windows of ${source}: ${done}`);
    }, signal);
    signal.throwIfAborted();
    held = { windows, embeddings, plane: plane(embeddings.values, embeddings.features), source };
  } finally {
    if (running.signal === signal) $("progress").hidden = true;
  }
  row = null;
  hidden = new Set();
  all.first = 0;
  const labelled = windows.some((one) => one.label !== null);
  document.querySelector("input[name=colour][value=label]").disabled = !labelled;
  document.querySelector(`input[name=colour][value=${labelled ? "label" : "time"}]`).checked = true;
  $("empty").hidden = true;
  render();
  choose(null);
  const share = held.plane.share.map((part) => `${Math.round(part * 100)} %`);
  say(`${windows.length} windows of ${source}; the map shows ${share.join(" and ")} of their variance.${notes.length ? ` Note: ${notes.join("; ")}.` : ""}`);
  await measure();
}

function clear() {
  held = null;
  row = null;
  $("empty").hidden = false;
  map.clear();
  series.clear();
  $("legend").replaceChildren();
  $("neighbours").hidden = true;
  $("part-label").hidden = true;
  $("series-says").textContent = NONE_CHOSEN;
  $("series").setAttribute("aria-label", "Series of the chosen window, none yet");
  $("map").setAttribute("aria-label", "Map of embeddings, empty");
  all.element.replaceChildren(element("p", "The windows of your data are listed here.", "muted"));
  all.held = null;
  pages();
}

/** Everything again, in the colours of now. */
function render() {
  if (!held) return;
  const { windows } = held;
  paint = painter(windows, chosen("colour"));
  const off = (at) => hidden.size > 0 && paint.labels !== null && hidden.has(paint.of(at).label);
  const points = windows.map((one, at) => ({ x: held.plane.x[at], y: held.plane.y[at], name: spoken(one, at), ...paint.of(at) }));
  map.draw(points, off, held.plane.share.map((part, at) => `component ${at + 1}: ${(part * 100).toFixed(1)} % of the variance`));
  legend.draw($("legend"), paint, hidden, render);
  all.draw(held, paint, chosen("view"));
  pages();
  again();
}

/** A window is looked at, or none. */
function choose(next) {
  row = next;
  all.mark(row);
  pages();
  const near = again();
  if (row !== null) {
    say(`${spoken(held.windows[row], row)}. ${near.length ? `Nearest: ${near.slice(0, 3).map(({ index }) => brief(index)).join("; ")}.` : "It has no neighbours."}`);
  }
}

function brief(at) {
  const { label } = held.windows[at];
  return `window ${at + 1}${label === null ? "" : ` (${label})`}`;
}

/** The chosen window and its neighbours, on the map, as series and as a table. */
function again() {
  if (!held) return [];
  const near = row === null ? [] : nearest(held.embeddings.values, held.embeddings.features, row, Number($("count").value));
  map.mark(row, near.map(({ index }) => index));
  const where = row === null ? "no window is chosen" : spoken(held.windows[row], row);
  $("map").setAttribute("aria-label", `Map of ${held.windows.length} embeddings; ${where}`);
  $("neighbours").hidden = row === null;
  if (row === null) {
    series.clear();
    $("part-label").hidden = true;
    $("series-says").textContent = NONE_CHOSEN;
    return near;
  }
  const ranks = shades(near.length);
  const shown = [
    { name: brief(row), window: held.windows[row], colour: ink("accent") },
    ...near.map(({ index }, rank) => ({ name: brief(index), window: held.windows[index], colour: ranks[rank] })),
  ];
  parts();
  series.draw(shown, info.channels, Number($("part").value) || 0, info.rate);
  $("series-says").textContent = `${spoken(held.windows[row], row)}: the bold line. Thin lines are its ${near.length} nearest.`;
  $("series").setAttribute("aria-label", `Series of ${brief(row)} and of its nearest: ${near.map(({ index }) => brief(index)).join("; ")}`);
  $("neighbours").tBodies[0].replaceChildren(...near.map(({ index, distance }, rank) => {
    const line = document.createElement("tr");
    const button = element("button", "");
    button.type = "button";
    button.append(swatch({ colour: ranks[rank], shape: "rect" }), `window ${index + 1}`);
    button.addEventListener("click", () => { choose(index); $("neighbours").querySelector("button")?.focus(); });
    const cells = [element("td", ""), element("td", held.windows[index].label ?? "–"), element("td", distance.toFixed(4), "number")];
    cells[0].append(button);
    line.append(...cells);
    for (const [kind, on] of [["mouseenter", true], ["mouseleave", false], ["focusin", true], ["focusout", false]]) {
      line.addEventListener(kind, () => series.highlight(rank + 1, on));
    }
    return line;
  }));
  return near;
}

/** Which channels are drawn, where there are more than fit. */
function parts() {
  const begins = info.channels.map((_, at) => at).filter((at) => at % TOGETHER === 0);
  $("part-label").hidden = begins.length < 2;
  if ($("part").options.length !== begins.length) {
    $("part").replaceChildren(...begins.map((at) => new Option(`${at + 1}–${Math.min(info.channels.length, at + TOGETHER)}`, at)));
  }
}

function pages() {
  $("shown").textContent = all.says;
  $("before").disabled = all.ends.before;
  $("after").disabled = all.ends.after;
}

$("files").addEventListener("change", () => { const list = [...$("files").files]; $("files").value = ""; if (list.length) trying(() => read(list)); });
$("hop").addEventListener("change", () => { if (files.length && Number($("hop").value) !== hopOf) trying(() => read(files)); });
$("draw").addEventListener("click", () => trying(draw));
$("model").addEventListener("change", () => trying(change));
$("drift-again").addEventListener("click", () => trying(measure));
$("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  service.key = $("key").value;
  $("key").value = "";
  trying(begin);
});
$("count").addEventListener("change", again);
$("part").addEventListener("change", again);
$("before").addEventListener("click", () => { all.turn(-1); pages(); });
$("after").addEventListener("click", () => { all.turn(1); pages(); });
$("zoom-in").addEventListener("click", () => map.zoom(0.6));
$("zoom-out").addEventListener("click", () => map.zoom(1 / 0.6));
$("zoom-all").addEventListener("click", () => map.zoom(null));
for (const input of document.querySelectorAll("input[name=colour], input[name=view]")) input.addEventListener("change", render);
for (const [kind, over] of [["dragover", true], ["dragleave", false], ["drop", false]]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    document.body.classList.toggle("over", over);
    const list = kind === "drop" ? [...event.dataTransfer.files] : [];
    if (list.length) trying(() => read(list));
  });
}
themed($("theme"), () => { render(); if (info) trying(measure); });
trying(begin);
