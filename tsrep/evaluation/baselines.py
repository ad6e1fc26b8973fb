"""Baselines: what every learned number must stand beside. MiniRocket with ridge and catch22, on the same split, untuned.

Both are others' well-kept code: MiniRocket is sktime's (compiled by numba on its first use on a machine, then cached), catch22 is
its authors' own in C (`pycatch22`, GPL-3.0, therefore an extra of its own and never a part of tsrep).

Both are made for series without gaps and of one length, so the rule is stated here once. catch22 takes each series at its own
length, gaps filled on straight lines. MiniRocket takes all series stretched to the longest of the training part, each channel
scaled by the training part's mean and standard deviation. The random untrained encoder is the third baseline; it is a model, so
the caller embeds with it and asks its features as it asks these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from tsrep.errors import InputError, nearest
from tsrep.even import even, filled, stretched

MINIROCKET_SHORTEST = 9
"""Steps of MiniRocket's kernels."""

CATCH22_SHORTEST = 4
"""Steps below which features of catch22 are not defined."""


def minirocket_features(train: np.ndarray, test: np.ndarray, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """train, test (n, channel, time), NaN for missing and padding -> (n, about 9996) float32 each.

    Dempster, Schmidt, Webb, KDD 2021, arXiv:2012.08791. Series under 9 steps are stretched to 9.
    """
    import torch
    from sktime.transformations.rocket import MiniRocketMultivariate

    left, right = (part.astype(np.float32) for part in even(train, test, shortest=MINIROCKET_SHORTEST))
    threads = torch.get_num_threads()
    try:
        rocket = MiniRocketMultivariate(random_state=seed).fit(left)
        return np.asarray(rocket.transform(left), np.float32), np.asarray(rocket.transform(right), np.float32)
    finally:  # numba shares its threads with torch and leaves another number of them: other bits in what torch computes next
        torch.set_num_threads(threads)


def catch22_features(values: np.ndarray) -> np.ndarray:
    """values (n, channel, time), NaN for missing and padding -> (n, 24 * channel) float64: 22 features, mean, sd by channel.

    Lubba et al. 2019, arXiv:1901.10200. Needs nothing of the training part. Series under 4 steps are stretched to 4; a feature
    that is not defined for a series (a constant one) is zero. InputError where pycatch22 is not installed.
    """
    try:
        from pycatch22 import catch22_all
    except ImportError as error:
        raise InputError("the catch22 baseline needs pycatch22: pip install 'tsrep[baselines]'") from error
    long_enough = [
        stretched([one], CATCH22_SHORTEST)[0] if one.shape[1] < CATCH22_SHORTEST else one for one in filled(values)
    ]
    made = [[catch22_all(channel, catch24=True)["values"] for channel in one] for one in long_enough]
    return np.nan_to_num(np.array(made, np.float64).reshape(len(made), -1), nan=0.0, posinf=0.0, neginf=0.0)


BASELINES: Mapping[str, Callable[[np.ndarray, np.ndarray, int], tuple[np.ndarray, np.ndarray]]] = {
    "minirocket": lambda train, test, seed: minirocket_features(train, test, seed=seed),
    "catch22": lambda train, test, seed: (catch22_features(train), catch22_features(test)),
}


def features(name: str, train: np.ndarray, test: np.ndarray, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features of both parts by the name of the baseline: (n, channel, time), (m, channel, time) -> (n, feature), (m, feature)."""
    if name not in BASELINES:
        raise InputError(f"expected a baseline of {', '.join(BASELINES)}, got '{name}'; {nearest(name, BASELINES)}")
    return BASELINES[name](train, test, seed)
