// Every window, as tiles or as a table: what the map shows, for eyes that want the series and for those that cannot see the map.

import { clock, ink, swatch } from "./colour.js";
import { nearest } from "./neighbours.js";

const PAGE = 48;
const LINES = 6; // channels of a tile
const COLOURS = ["accent", "muted"];

export class All {
  /** choose(row) as of the map. */
  constructor(element, choose) {
    this.element = element;
    this.choose = choose;
    this.first = 0;
    this.row = null;
  }

  /** held: {windows, embeddings, plane}, or null; paint: of colour.js; view: tiles or table. */
  draw(held, paint, view) {
    Object.assign(this, { held, paint, view });
    this.#show();
  }

  turn(pages) {
    this.first = Math.max(0, Math.min(this.first + pages * PAGE, Math.floor((this.held.windows.length - 1) / PAGE) * PAGE));
    this.#show();
  }

  mark(row) {
    const first = row === null ? this.first : Math.floor(row / PAGE) * PAGE;
    const same = first === this.first && row !== null && this.row !== null;
    Object.assign(this, { row, first });
    if (!same) { this.#show(); return; }
    for (const button of this.element.querySelectorAll("button[data-row]")) {
      const now = Number(button.dataset.row) === row;
      if (now) button.setAttribute("aria-current", "true"); else button.removeAttribute("aria-current");
      button.closest("tr")?.classList.toggle("chosen", now);
    }
  }

  get says() {
    if (!this.held) return "";
    const last = Math.min(this.held.windows.length, this.first + PAGE);
    return `${this.first + 1}–${last} of ${this.held.windows.length}`;
  }

  get ends() {
    return { before: !this.held || this.first === 0, after: !this.held || this.first + PAGE >= this.held.windows.length };
  }

  #show() {
    if (!this.held) return;
    const rows = this.held.windows.slice(this.first, this.first + PAGE).map((_, at) => this.first + at);
    const focused = this.element.contains(document.activeElement) ? document.activeElement.dataset.row : null;
    this.element.replaceChildren(this.view === "tiles" ? this.#tiles(rows) : this.#table(rows));
    if (this.view === "tiles") {
      const colours = COLOURS.map(ink);
      for (const canvas of this.element.querySelectorAll("canvas.lines")) this.#lines(canvas, colours);
    }
    if (focused !== null) this.element.querySelector(`button[data-row="${this.row ?? focused}"]`)?.focus({ preventScroll: true });
  }

  #button(row) {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.row = row;
    if (row === this.row) button.setAttribute("aria-current", "true");
    button.addEventListener("click", () => this.choose(row));
    return button;
  }

  #tiles(rows) {
    const list = make("ul", { className: "tiles" });
    for (const row of rows) {
      const one = this.held.windows[row];
      const button = this.#button(row);
      button.className = "tile";
      button.setAttribute("aria-label", spoken(one, row));
      const canvas = make("canvas", { className: "lines" });
      canvas.dataset.row = row;
      canvas.setAttribute("aria-hidden", "true");
      const line = make("span");
      line.append(swatch(this.paint.of(row)), make("b", { textContent: row + 1 }), one.label ?? one.series);
      button.append(canvas, line);
      const item = make("li");
      item.append(button);
      list.append(item);
    }
    return list;
  }

  /** Each channel on the scale of all its windows, so that a calm one looks calm. */
  #lines(canvas, colours) {
    const { windows } = this.held;
    const one = windows[Number(canvas.dataset.row)];
    const ratio = Math.min(2, devicePixelRatio || 1);
    const [wide, high] = [canvas.clientWidth * ratio, canvas.clientHeight * ratio];
    Object.assign(canvas, { width: wide, height: high });
    const pen = canvas.getContext("2d");
    pen.lineWidth = 1.1 * ratio;
    this.ranges ??= new WeakMap();
    if (!this.ranges.has(windows)) this.ranges.set(windows, ranges(windows));
    one.values.slice(0, LINES).forEach((values, channel) => {
      const [low, high_] = this.ranges.get(windows)[channel];
      pen.strokeStyle = colours[channel ? 1 : 0];
      pen.globalAlpha = channel ? 0.55 : 1;
      pen.beginPath();
      let open = false;
      values.forEach((value, step) => {
        if (Number.isNaN(value)) { open = false; return; }
        const x = one.steps > 1 ? (step / (one.steps - 1)) * (wide - 2) + 1 : wide / 2;
        const y = high - 3 - ((value - low) / (high_ - low || 1)) * (high - 6);
        if (open) pen.lineTo(x, y); else pen.moveTo(x, y);
        open = true;
      });
      pen.stroke();
    });
  }

  #table(rows) {
    const { windows, embeddings, plane } = this.held;
    const table = make("table");
    table.append(make("caption", { className: "hidden", textContent: "Windows, where they lie on the map, and their nearest neighbour" }));
    const head = table.createTHead().insertRow();
    for (const text of ["Window", "Label", "Series", "Begins", "Steps", "Map x", "Map y", "Nearest", "Cosine distance"]) {
      head.append(make("th", { scope: "col", textContent: text, className: /^(Steps|Map|Cosine)/.test(text) ? "number" : "" }));
    }
    const body = table.createTBody();
    for (const row of rows) {
      const one = windows[row];
      const line = body.insertRow();
      if (row === this.row) line.className = "chosen";
      const [near] = nearest(embeddings.values, embeddings.features, row, 1);
      const button = this.#button(row);
      button.append(swatch(this.paint.of(row)), `${row + 1}`);
      button.setAttribute("aria-label", `Window ${row + 1}`);
      line.insertCell().append(button);
      const begins = one.time === null ? `step ${one.start}` : clock(one.time);
      for (const text of [one.label ?? "", one.series, begins]) line.insertCell().textContent = text;
      for (const value of [one.steps, plane.x[row].toFixed(3), plane.y[row].toFixed(3)]) number(line).textContent = value;
      line.insertCell().textContent = near ? `window ${near.index + 1}` : "";
      number(line).textContent = near ? near.distance.toFixed(4) : "";
    }
    const around = make("div", { className: "scroll", tabIndex: 0, role: "region", ariaLabel: "Table of windows" });
    around.append(table);
    return around;
  }
}

/** A window in words: its number, its label, and where it is from. */
export function spoken(one, row) {
  const begins = one.time === null ? (one.start ? `, from step ${one.start}` : "") : `, from ${clock(one.time)}`;
  const series = /^\d+$/.test(one.series) ? `series ${one.series}` : one.series;
  return `Window ${row + 1}${one.label === null ? "" : ` (${one.label})`} of ${series}${begins}`;
}

function ranges(windows) {
  return windows[0].values.map((_, channel) => {
    let [low, high] = [Infinity, -Infinity];
    for (const one of windows) for (const value of one.values[channel]) { if (value < low) low = value; if (value > high) high = value; }
    return low <= high ? [low, high] : [0, 1];
  });
}

function number(line) {
  const cell = line.insertCell();
  cell.className = "number";
  return cell;
}

function make(tag, properties = {}) {
  return Object.assign(document.createElement(tag), properties);
}
