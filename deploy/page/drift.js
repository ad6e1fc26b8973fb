// How far the recent requests are from the training data, as the service measures it.

import { ink } from "./colour.js";
import { element as text } from "./element.js";

const SVG = "http://www.w3.org/2000/svg";
const NAMES = { mmd: "MMD²" };

/** told: what GET /v1/drift answers. */
export function draw(place, told, model) {
  const one = told.models[model];
  if (!one) {
    place.replaceChildren(text("p", `The service says nothing of the drift of ${model}.`, "muted"));
    return;
  }
  const parts = [];
  const known = one.drifted !== null && one.drifted !== undefined;
  const word = known ? (one.drifted ? "▲ Drifted" : "● Steady") : "○ Not known yet";
  parts.push(text("p", word, `state ${known ? (one.drifted ? "bad" : "good") : ""}`));
  if (Number.isFinite(one.value) && Number.isFinite(one.threshold) && one.value !== null && one.threshold !== null) parts.push(gauge(one));
  parts.push(text("p", one.says ?? "", "muted"));
  const list = document.createElement("dl");
  const facts = { Statistic: NAMES[one.statistic] ?? one.statistic, "Recent windows": one.recent, "Training windows": one.reference };
  for (const [name, value] of Object.entries(facts)) list.append(text("dt", name), text("dd", value ?? "–"));
  parts.push(list);
  place.replaceChildren(...parts);
}

/** The value as a bar, the threshold as a line. */
function gauge({ statistic, value, threshold, drifted }) {
  const most = Math.max(value, threshold) * 1.25 || 1;
  const picture = document.createElementNS(SVG, "svg");
  picture.setAttribute("viewBox", "0 0 200 24");
  picture.setAttribute("preserveAspectRatio", "none");
  picture.setAttribute("role", "img");
  const told = `${NAMES[statistic] ?? statistic} ${short(value)}, threshold ${short(threshold)}`;
  picture.setAttribute("aria-label", told);
  const box = (attributes) => {
    const shape = document.createElementNS(SVG, "rect");
    for (const [name, said] of Object.entries(attributes)) shape.setAttribute(name, said);
    picture.append(shape);
  };
  box({ x: 0, y: 7, width: 200, height: 10, fill: ink("soft") });
  box({ x: 0, y: 7, width: Math.max(1, (200 * Math.max(0, value)) / most), height: 10, fill: ink(drifted ? "bad" : "good") });
  box({ x: (200 * threshold) / most - 1, y: 2, width: 2, height: 20, fill: ink("ink") });
  const around = document.createElement("div");
  around.className = "gauge";
  around.append(picture, text("p", told, "muted"));
  return around;
}

function short(value) {
  return String(Number(value.toPrecision(3)));
}
