// What the colours mean: a button for each label, which hides or shows it, or the scale of time.

import { scale, swatch } from "./colour.js";
import { element } from "./element.js";

/** paint: of colour.js; hidden: Set of the labels that are switched off; changed() is called when it has changed. */
export function draw(place, paint, hidden, changed) {
  if (!paint.labels) {
    place.replaceChildren(element("small", paint.ends[0]), gradient(), element("small", paint.ends[1]));
    return;
  }
  place.replaceChildren(...paint.labels.map((one, at) => {
    const button = element("button", "");
    button.type = "button";
    button.title = "Show or hide";
    button.setAttribute("aria-pressed", String(!hidden.has(one.label)));
    button.append(swatch(one), one.label, element("small", one.count));
    button.addEventListener("click", () => {
      if (!hidden.delete(one.label)) hidden.add(one.label);
      changed();
      place.children[at]?.focus();
    });
    return button;
  }));
}

function gradient() {
  const canvas = Object.assign(document.createElement("canvas"), { width: 176, height: 12, className: "scale" });
  canvas.setAttribute("aria-hidden", "true");
  const pen = canvas.getContext("2d");
  const fill = pen.createLinearGradient(0, 0, canvas.width, 0);
  scale().forEach((colour, at, every) => fill.addColorStop(at / (every.length - 1), colour));
  pen.fillStyle = fill;
  pen.fillRect(0, 0, canvas.width, canvas.height);
  return canvas;
}
