// Colours and shapes of points. Labels differ in both, so that nobody needs to tell colours apart; time runs along one scale.

const LIGHT = ["#2457c5", "#c2410c", "#0b7a53", "#9d2b8f", "#8a6100", "#0e7490", "#b3203f", "#5b5bd6", "#4d7c0f", "#6b7280"];
const DARK = ["#7fa9ff", "#ff9d5c", "#4fd1a1", "#e79be0", "#e8c34f", "#5fd0e6", "#ff8fa3", "#b1a7ff", "#b4d96b", "#a9b3c1"];
const SHAPES = ["circle", "rect", "triangle", "diamond", "pin"];
const SCALE = { light: ["#3b1d8f", "#2b63a8", "#1c8a86", "#6aa52f", "#d08a00"], dark: ["#8d7bf0", "#5b9be6", "#45c4b5", "#a3d65a", "#ffd24d"] };
const GREYS = { light: ["#1a2230", "#5d6a7d", "#aab5c3"], dark: ["#f4f6f9", "#a5b0be", "#5a6673"] };
export const NONE = "–";

export function dark() {
  const said = document.documentElement.dataset.theme;
  return said ? said === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

/** A colour of the style sheet, as it is now. */
export function ink(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** {of(row) -> {colour, shape}, labels: [{label, colour, shape, count}] | null, ends: [first, last] | null} */
export function painter(windows, by) {
  return by === "label" ? byLabel(windows) : byTime(windows);
}

function byLabel(windows) {
  const palette = dark() ? DARK : LIGHT;
  const names = [...new Set(windows.map((one) => one.label ?? NONE))].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  const count = new Map(names.map((name) => [name, 0]));
  for (const one of windows) count.set(one.label ?? NONE, count.get(one.label ?? NONE) + 1);
  const labels = names.map((label, at) => ({
    label,
    colour: palette[at % palette.length],
    shape: SHAPES[(at + Math.floor(at / palette.length)) % (SHAPES.length - 1)],
    count: count.get(label),
  }));
  const found = new Map(labels.map((one) => [one.label, one]));
  return { of: (row) => found.get(windows[row].label ?? NONE), labels, ends: null };
}

function byTime(windows) {
  const clocked = windows.every((one) => one.time !== null) && new Set(windows.map((one) => one.time)).size > 1;
  const times = windows.map((one, row) => (clocked ? one.time : row)); // where every series begins at 0, their order
  const first = times.reduce((a, b) => Math.min(a, b));
  const last = times.reduce((a, b) => Math.max(a, b));
  const stops = scale();
  const of = (row) => ({ colour: between(stops, last > first ? (times[row] - first) / (last - first) : 0), shape: "circle" });
  const told = clocked ? [clock(first), clock(last)] : [`window ${first + 1}`, `window ${last + 1}`];
  return { of, labels: null, ends: told };
}

export function scale() {
  return SCALE[dark() ? "dark" : "light"];
}

/** So many greys, the nearest stands out most: colours would be taken for those of the labels. */
export function shades(count) {
  const stops = GREYS[dark() ? "dark" : "light"];
  return Array.from({ length: count }, (_, rank) => between(stops, count > 1 ? rank / (count - 1) : 0));
}

/** Seconds as people read them: a date where they are as many as since 1970, else seconds. */
export function clock(seconds) {
  return seconds > 1e8 ? new Date(seconds * 1000).toISOString().slice(0, 19).replace("T", " ") : `${Number(seconds.toPrecision(6))} s`;
}

function between(stops, part) {
  const at = part * (stops.length - 1);
  const low = Math.min(stops.length - 2, Math.floor(at));
  const [one, other] = [stops[low], stops[low + 1]].map((text) => [1, 3, 5].map((i) => parseInt(text.slice(i, i + 2), 16)));
  return `rgb(${one.map((value, i) => Math.round(value + (other[i] - value) * (at - low))).join(",")})`;
}

/** A small drawing of a point, for lists: a canvas. */
export function swatch({ colour, shape }) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 22;
  Object.assign(canvas.style, { width: "11px", height: "11px" });
  canvas.className = "swatch";
  canvas.setAttribute("aria-hidden", "true");
  const pen = canvas.getContext("2d");
  pen.fillStyle = colour;
  pen.beginPath();
  if (shape === "rect") pen.rect(3, 3, 16, 16);
  else if (shape === "triangle") { pen.moveTo(11, 2); pen.lineTo(21, 20); pen.lineTo(1, 20); }
  else if (shape === "diamond") { pen.moveTo(11, 0); pen.lineTo(20, 11); pen.lineTo(11, 22); pen.lineTo(2, 11); }
  else pen.arc(11, 11, 9, 0, 7);
  pen.fill();
  return canvas;
}
