"""The squared maximum mean discrepancy of two samples, unbiased (Gretton et al., JMLR 2012, eq. 3): sum by sum."""

import math

import numpy as np


def mmd(x: np.ndarray, y: np.ndarray, width: float) -> float:
    def k(u: np.ndarray, v: np.ndarray) -> float:
        return math.exp(-sum((a - b) ** 2 for a, b in zip(u, v, strict=True)) / (2 * width**2))

    m, n = len(x), len(y)
    within_x = sum(k(x[i], x[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    within_y = sum(k(y[i], y[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    return within_x + within_y - 2 * sum(k(u, v) for u in x for v in y) / (m * n)


def width(x: np.ndarray) -> float:
    """The median distance of two of them."""
    apart = [math.dist(x[i], x[j]) for i in range(len(x)) for j in range(i)]
    return float(np.median(apart))
