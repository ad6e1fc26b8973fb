// One element with its text: never markup, whatever a file or the service holds.

export function element(tag, text, kind = "") {
  return Object.assign(document.createElement(tag), { textContent: text, className: kind });
}
