"""Baselines: what every learned number must stand beside. MiniRocket with ridge, and catch22, on one split, untuned.

Both are made for series without gaps and of one length, so the rule is stated here once. catch22 takes each series at
its own length, gaps filled on straight lines. MiniRocket takes all series stretched to the longest of the training
part, each channel scaled by the training part's mean and standard deviation. The random untrained encoder is the third
baseline; it is a model, so the caller embeds with it and passes its features to `classify` by name.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import pandas as pd

from tsrep.evaluation.catch22 import SHORTEST as CATCH22_SHORTEST
from tsrep.evaluation.catch22 import catch22
from tsrep.evaluation.classify import classify
from tsrep.evaluation.even import even, filled, stretched
from tsrep.evaluation.minirocket import SHORTEST as MINIROCKET_SHORTEST
from tsrep.evaluation.minirocket import MiniRocket


def minirocket_features(train: np.ndarray, test: np.ndarray, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """train, test (n, channel, time), NaN for missing and padding -> (n, about 9996) float32 each.

    Series under 9 steps are stretched to 9.
    """
    left, right = even(train, test, shortest=MINIROCKET_SHORTEST)
    rocket = MiniRocket.fit(left, seed=seed)
    return rocket.transform(left), rocket.transform(right)


def catch22_features(values: np.ndarray) -> np.ndarray:
    """values (n, channel, time), NaN for missing and padding -> (n, 24 * channel) float64: 22 features, mean, sd by
    channel.

    Needs nothing of the training part. Series under 4 steps are stretched to 4.
    """
    series = filled(values)
    out = np.empty((len(series), series[0].shape[0], 24))
    lengths = np.array([one.shape[1] for one in series])
    for length in np.unique(lengths):
        here = np.flatnonzero(lengths == length)
        block = stretched([series[i] for i in here], max(int(length), CATCH22_SHORTEST))
        out[here] = catch22(block.reshape(-1, block.shape[2])).reshape(len(here), -1, 24)
    return out.reshape(len(series), -1)


def baselines(
    train: np.ndarray,
    train_labels: np.ndarray,
    test: np.ndarray,
    test_labels: np.ndarray,
    *,
    seeds: Sequence[int] = (0,),
    catch22_probes: Sequence[str] = ("linear",),
    dataset: str = "",
    setting: str = "classify",
    commit: str = "",
) -> pd.DataFrame:
    """Accuracy and macro F1 of MiniRocket with ridge and of catch22 with probes, for each seed, as a tidy frame.

    train, test (n, channel, time), NaN for missing and padding; labels (n,). catch22 draws nothing, so its features are
    made once; only a probe's folds depend on the seed.
    """
    begin = time.perf_counter()
    plain = catch22_features(train), catch22_features(test)
    plain_seconds = time.perf_counter() - begin
    frames = []
    for seed in seeds:
        begin = time.perf_counter()
        rocket = minirocket_features(train, test, seed=seed)
        rocket_seconds = time.perf_counter() - begin
        for method, features, probes, seconds in (
            ("minirocket", rocket, ("ridge",), rocket_seconds),
            ("catch22", plain, catch22_probes, plain_seconds),
        ):
            frames.append(
                classify(
                    {method: features},
                    train_labels,
                    test_labels,
                    probes=probes,
                    seed=seed,
                    dataset=dataset,
                    setting=setting,
                    encoder="none",
                    seconds={method: seconds},
                    commit=commit,
                )
            )
    return pd.concat(frames, ignore_index=True)
