// A table -> windows such as the model takes: {series, start, time, label, steps, values: [Float32Array of each channel]}.
// start: step of the series at which the window begins; time: its clock there in seconds, or null.

const RESERVED = ["id", "timestamp", "label", "subject", "stream"];
const MISSING = new Set(["", "nan", "na", "n/a", "null", "none", "-nan"]);
export const MOST = 5000; // windows that a map holds

/** {windows, notes}. wanted: the model's channels; length: of its windows; hop: steps between their beginnings. */
export function cut(table, { wanted, length, hop, file }) {
  const { names, notes } = channelsOf(table, wanted);
  const columns = names.map((name) => numbers(table.columns[name], name));
  if (table.columns.stream && new Set(table.columns.stream).size > 1) {
    throw new Error(`expected one stream, got ${[...new Set(table.columns.stream)].slice(0, 5).join(", ")}: keep the rows of one`);
  }
  const clock = table.columns.timestamp ? seconds(table.columns.timestamp) : null;
  const found = rowsOf(table, file, clock);
  fewEnough([...found.values()].reduce((sum, rows) => sum + 1 + Math.max(0, Math.ceil((rows.length - length) / hop)), 0), hop);
  const windows = [];
  let left = 0;
  for (const [series, rows] of found) {
    for (let start = 0; start < rows.length; start += hop) {
      const part = rows.slice(start, start + length);
      const fresh = start === 0 || start - hop + length < rows.length; // holds steps that the window before did not
      if (part.length < length && (!fresh || (start > 0 && part.length * 2 < length))) {
        left += fresh ? part.length : 0;
        break;
      }
      const values = columns.map((column) => Float32Array.from(part, (row) => column[row]));
      if (values.some((one) => one.some((x) => !Number.isNaN(x)))) {
        const label = table.columns.label ? majority(part.map((row) => table.columns.label[row])) : null;
        windows.push({ series, start, time: clock ? clock[part[0]] : null, label, steps: part.length, values });
      }
    }
  }
  if (!windows.length) throw new Error("expected at least one window with a value, all cells of the channels are empty");
  if (left) notes.push(`${left} steps behind the last whole windows are left out`);
  return { windows, notes };
}

/** Asked before any window is cut: an hour at a hop of one step is more than a browser holds. */
function fewEnough(count, hop) {
  if (count > MOST) {
    throw new Error(`expected at most ${MOST} windows to draw, got ${count}: take a window every ${Math.ceil((1.01 * hop * count) / MOST)} steps or so`);
  }
}

/** Which columns are the channels, in the model's order. */
function channelsOf(table, wanted) {
  const others = table.names.filter((name) => !RESERVED.includes(name));
  if (wanted.every((name) => table.names.includes(name))) {
    const unused = others.filter((name) => !wanted.includes(name));
    return { names: wanted, notes: unused.length ? [`not channels of the model, and left out: ${few(unused)}`] : [] };
  }
  const nameless = wanted.length === 1 || wanted.every((name, at) => name === `channel_${at}`);
  if (nameless && others.length === wanted.length) return { names: others, notes: [`${few(others)} taken as ${few(wanted)}`] };
  const missing = wanted.filter((name) => !table.names.includes(name));
  throw new Error(`expected ${wanted.length} channels (${few(wanted)}), got ${others.length} (${few(others)}): missing ${few(missing)}`);
}

/** Rows of each series in the order of their clock, in order of appearance. */
function rowsOf(table, file, clock) {
  const found = new Map();
  for (let row = 0; row < table.rows; row += 1) {
    const series = table.columns.id ? table.columns.id[row] : file;
    if (series === "") throw new Error(`expected an id in every row, got none in row ${row + 1}`);
    if (!found.has(series)) found.set(series, []);
    found.get(series).push(row);
  }
  for (const [series, rows] of clock ? found : []) {
    rows.sort((a, b) => clock[a] - clock[b]);
    const twice = rows.find((row, at) => at && clock[row] === clock[rows[at - 1]]);
    if (twice !== undefined) throw new Error(`expected each step of a series to have a time of its own, got one twice in series ${series}, row ${twice + 1}`);
  }
  return found;
}

function numbers(texts, name) {
  return Float64Array.from(texts, (text, row) => {
    if (MISSING.has(text.toLowerCase())) return NaN;
    const value = Number(text);
    if (Number.isFinite(value)) return value;
    throw new Error(`expected column ${name} to hold numbers, got '${text.slice(0, 30)}' in row ${row + 1}; leave missing cells empty`);
  });
}

/** Seconds of numbers, or of dates, which are read as UTC where they say no zone. */
function seconds(texts) {
  return Float64Array.from(texts, (text, row) => {
    const zoneless = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?$/.test(text);
    const value = text !== "" && Number.isFinite(Number(text)) ? Number(text) : Date.parse(zoneless ? `${text.replace(" ", "T")}Z` : text) / 1000;
    if (Number.isFinite(value)) return value;
    throw new Error(`expected a timestamp in seconds or a date, got '${text.slice(0, 30)}' in row ${row + 1}`);
  });
}

/** The label that most steps have; the first of equals, null where none has one. */
function majority(labels) {
  const count = new Map();
  for (const label of labels) if (label !== "") count.set(label, (count.get(label) ?? 0) + 1);
  return [...count].reduce((best, one) => (one[1] > best[1] ? one : best), [null, 0])[0];
}

function few(names) {
  return names.length > 7 ? `${names[0]} … ${names.at(-1)}` : names.join(", ") || "none";
}
