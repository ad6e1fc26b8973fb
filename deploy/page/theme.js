// Light or dark: as the system says, until somebody says otherwise; that is remembered where the browser lets it.

import { dark } from "./colour.js";

const NAME = "tsrep-theme";

/** changed() is called when colours have changed. */
export function themed(button, changed) {
  const told = () => { button.textContent = dark() ? "Light" : "Dark"; button.setAttribute("aria-label", `Switch to ${dark() ? "light" : "dark"}`); };
  const kept = remembered();
  if (kept) document.documentElement.dataset.theme = kept;
  told();
  button.addEventListener("click", () => {
    const next = dark() ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    try { localStorage.setItem(NAME, next); } catch { /* then for this page alone */ }
    told();
    changed();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { told(); changed(); });
}

function remembered() {
  try {
    const kept = localStorage.getItem(NAME);
    return kept === "light" || kept === "dark" ? kept : null;
  } catch {
    return null;
  }
}
