// The nearest windows by cosine distance, 1 - cosine, as `tsrep.nearest` measures it; equal ones by their order.

/** values: (n, feature) in order -> [{index, distance}, …] of the k nearest of a row, without itself. */
export function nearest(values, features, row, k) {
  const n = values.length / features;
  const norm = (at) => {
    let sum = 0;
    for (let i = 0; i < features; i += 1) sum += values[at * features + i] ** 2;
    return Math.sqrt(sum) || 1;
  };
  const own = norm(row);
  const found = [];
  for (let other = 0; other < n; other += 1) {
    if (other === row) continue;
    let sum = 0;
    for (let i = 0; i < features; i += 1) sum += values[row * features + i] * values[other * features + i];
    found.push({ index: other, distance: Math.min(2, Math.max(0, 1 - sum / (own * norm(other)))) });
  }
  return found.sort((a, b) => a.distance - b.distance || a.index - b.index).slice(0, k);
}
