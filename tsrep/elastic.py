"""Elastic distances: dynamic time warping between series of one length, sktime's, compiled by numba when first used.

The one file that asks sktime for it; the baseline (1-NN with DTW) and soft assignments look at the same distances.
"""

from __future__ import annotations

import numpy as np


def dtw(left: np.ndarray, right: np.ndarray | None = None, *, band: float = 1.0) -> np.ndarray:
    """Squares of the distances of each of left to each of right: (n, channel, time), (m, channel, time) -> (n, m).

    d(x, y)² = min over monotone paths of Σ_(i,j) Σ_channel (x_i − y_j)², |i − j| ≤ band · time: all channels warp together
    ("dependent", Shokoohi-Yekta et al. 2017), the band is Sakoe's and Chiba's (1978). No series may hold NaN. right: None is left.
    band: 1 is none.
    """
    from sktime.dists_kernels.dtw import DtwDist

    step = np.arange(left.shape[2])
    within = np.abs(step[:, None] - step) <= np.ceil(band * len(step))
    square: np.ndarray = DtwDist(bounding_matrix=np.where(within, 0.0, np.inf))(left, right)
    return square
