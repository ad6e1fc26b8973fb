"""Cross-entropy by slow loops, from the formula −log(e^{s_y} / Σ_c e^{s_c})."""

import math


def cross_entropy(scores: list[list[float]], label: list[int]) -> float:
    """Mean over rows: (n, class), (n,) -> one number."""
    total = 0.0
    for row, true in zip(scores, label, strict=True):
        total += math.log(sum(math.exp(score) for score in row)) - row[true]
    return total / len(scores)
