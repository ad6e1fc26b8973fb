// The plane in which embeddings vary most: principal components, by subspace iteration on their covariance (Golub & Van Loan, 8.2.4).

const BLOCK = 8; // vectors that are turned together: two are kept, the others make these converge fast
const ROUNDS = 300;

/** values: (n, feature) in order -> {x, y: Float64Array(n), share: [of the variance, along each axis]}.
 *  Signs: the largest component of each axis is positive, so that the same embeddings give the same picture. */
export function plane(values, features) {
  const n = values.length / features;
  const middle = new Float64Array(features);
  for (let at = 0; at < values.length; at += 1) middle[at % features] += values[at] / n;
  const centred = Float64Array.from(values, (value, at) => value - middle[at % features]);
  const covariance = gram(centred, n, features);
  let total = 0;
  for (let i = 0; i < features; i += 1) total += covariance[i * features + i];
  const { vectors, roots } = leading(covariance, features, total);
  const axes = [0, 1].map((k) => project(centred, n, features, vectors[k]));
  return { x: axes[0], y: axes[1], share: [0, 1].map((k) => (total > 0 ? roots[k] / total : 0)) };
}

function gram(centred, n, features) {
  const out = new Float64Array(features * features);
  for (let row = 0; row < n; row += 1) {
    const at = row * features;
    for (let i = 0; i < features; i += 1) {
      const value = centred[at + i];
      for (let j = i; j < features; j += 1) out[i * features + j] += value * centred[at + j];
    }
  }
  for (let i = 0; i < features; i += 1) for (let j = 0; j < i; j += 1) out[i * features + j] = out[j * features + i];
  return out;
}

function leading(matrix, features, total) {
  const size = Math.min(BLOCK, features);
  let block = orthonormal(start(features, size));
  let roots = new Array(size).fill(0);
  for (let round = 0; round < ROUNDS && total > 0; round += 1) {
    const turned = block.map((vector) => times(matrix, vector));
    const { values, mixed } = ritz(block, turned);
    const settled = values.slice(0, 2).every((value, k) => Math.abs(value - roots[k]) <= 1e-13 * total);
    roots = values;
    block = orthonormal(mixed);
    if (settled && round > 10) break;
  }
  const signed = block.map((vector) => {
    const most = vector.reduce((best, value) => (Math.abs(value) > Math.abs(best) ? value : best), 0);
    return most < 0 ? vector.map((value) => -value) : vector;
  });
  const nothing = new Float64Array(features);
  return { vectors: [signed[0], signed[1] ?? nothing], roots: [roots[0], roots[1] ?? 0] };
}

/** Vectors that are the same every time and along no axis. */
function start(features, size) {
  return Array.from({ length: size }, (_, k) => Float64Array.from({ length: features }, (__, i) => Math.sin(1 + (k + 1) * (i + 1) * 0.7548776662)));
}

/** Rotates what the matrix made of a block so that its vectors stand for one root each, the largest first. */
function ritz(block, turned) {
  const size = block.length;
  const small = block.map((one) => turned.map((other) => dot(one, other)));
  const { values, vectors } = jacobi(small);
  const order = [...values.keys()].sort((a, b) => values[b] - values[a]);
  const mixed = order.map((k) => {
    const out = new Float64Array(turned[0].length);
    for (let j = 0; j < size; j += 1) for (let i = 0; i < out.length; i += 1) out[i] += vectors[j][k] * turned[j][i];
    return out;
  });
  return { values: order.map((k) => values[k]), mixed };
}

/** Roots and vectors (columns) of a small symmetric matrix. */
function jacobi(given) {
  const size = given.length;
  const a = given.map((row, i) => row.map((value, j) => (value + given[j][i]) / 2));
  const v = a.map((row, i) => row.map((_, j) => (i === j ? 1 : 0)));
  for (let sweep = 0; sweep < 30; sweep += 1) {
    for (let p = 0; p < size; p += 1) {
      for (let q = p + 1; q < size; q += 1) {
        if (Math.abs(a[p][q]) < 1e-300) continue;
        const theta = (a[q][q] - a[p][p]) / (2 * a[p][q]);
        const t = Math.sign(theta || 1) / (Math.abs(theta) + Math.hypot(theta, 1));
        const c = 1 / Math.hypot(t, 1);
        const s = t * c;
        for (let k = 0; k < size; k += 1) [a[k][p], a[k][q]] = [c * a[k][p] - s * a[k][q], s * a[k][p] + c * a[k][q]];
        for (let k = 0; k < size; k += 1) [a[p][k], a[q][k]] = [c * a[p][k] - s * a[q][k], s * a[p][k] + c * a[q][k]];
        for (let k = 0; k < size; k += 1) [v[k][p], v[k][q]] = [c * v[k][p] - s * v[k][q], s * v[k][p] + c * v[k][q]];
      }
    }
  }
  return { values: a.map((row, i) => row[i]), vectors: v };
}

function orthonormal(vectors) {
  const out = [];
  for (const given of vectors) {
    const vector = Float64Array.from(given);
    for (let twice = 0; twice < 2; twice += 1) {
      for (const other of out) {
        const share = dot(vector, other);
        for (let i = 0; i < vector.length; i += 1) vector[i] -= share * other[i];
      }
    }
    const size = Math.sqrt(dot(vector, vector));
    out.push(size > 1e-150 ? vector.map((value) => value / size) : vector.fill(0));
  }
  return out;
}

function times(matrix, vector) {
  const size = vector.length;
  const out = new Float64Array(size);
  for (let i = 0; i < size; i += 1) {
    let sum = 0;
    for (let j = 0; j < size; j += 1) sum += matrix[i * size + j] * vector[j];
    out[i] = sum;
  }
  return out;
}

function project(centred, n, features, axis) {
  return Float64Array.from({ length: n }, (_, row) => {
    let sum = 0;
    for (let i = 0; i < features; i += 1) sum += centred[row * features + i] * axis[i];
    return sum;
  });
}

function dot(one, other) {
  let sum = 0;
  for (let i = 0; i < one.length; i += 1) sum += one[i] * other[i];
  return sum;
}
