// Text of a CSV file -> columns of text. Commas, semicolons or tabs, whichever the first line holds most of; quotes as RFC 4180 has them.

/** {names, columns: {name: [text, …]}, rows}. Throws an Error that says what was expected and what came. */
export function parse(text) {
  const plain = text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
  const end = plain.search(/\r|\n|$/);
  const delimiter = [",", ";", "\t"].map((one) => [plain.slice(0, end).split(one).length, one]).sort((a, b) => b[0] - a[0])[0][1];
  const lines = plain.includes('"') ? quoted(plain, delimiter) : plain.split(/\r\n|\n|\r/).filter((line) => line.trim()).map((line) => line.split(delimiter));
  if (lines.length < 2) throw new Error(`expected a first line with names and rows below it, got ${lines.length ? "one line" : "an empty file"}`);
  const names = lines[0].map((name) => name.trim());
  if (names.every((name) => name !== "" && Number.isFinite(Number(name)))) {
    throw new Error(`expected names of columns in the first line, got numbers (${names.slice(0, 4).join(", ")} …)`);
  }
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice !== undefined) throw new Error(`expected each column to have a name of its own, got '${twice}' twice`);
  const columns = Object.fromEntries(names.map((name) => [name, new Array(lines.length - 1)]));
  for (let row = 1; row < lines.length; row += 1) {
    if (lines[row].length !== names.length) {
      throw new Error(`expected ${names.length} cells in each row, got ${lines[row].length} in row ${row}`);
    }
    for (let at = 0; at < names.length; at += 1) columns[names[at]][row - 1] = lines[row][at].trim();
  }
  return { names, columns, rows: lines.length - 1 };
}

function quoted(text, delimiter) {
  const lines = [];
  let line = [];
  let cell = "";
  let inside = false;
  const close = () => { line.push(cell); cell = ""; };
  const finish = () => { close(); if (line.length > 1 || line[0].trim()) lines.push(line); line = []; };
  for (let at = 0; at < text.length; at += 1) {
    const sign = text[at];
    if (inside) {
      if (sign !== '"') cell += sign;
      else if (text[at + 1] === '"') { cell += '"'; at += 1; } else inside = false;
    } else if (sign === '"') inside = true;
    else if (sign === delimiter) close();
    else if (sign === "\n" || sign === "\r") { if (sign === "\r" && text[at + 1] === "\n") at += 1; finish(); } else cell += sign;
  }
  if (inside) throw new Error('expected every " to be closed, got one that is not');
  if (cell || line.length) finish();
  return lines;
}
