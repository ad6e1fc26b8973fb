"""Neighbour probes: the class of the nearest training rows. They have nothing to fit and so nothing to hide."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tsrep.evaluation.retrieve import nearest


def neighbours(k: int = 5, metric: str = "cosine") -> Callable[..., np.ndarray]:
    """A probe that lets the k nearest training rows vote.

    The probe takes train (n, feature), labels (n,), test (m, feature) and gives (m,) labels. Features are standardised
    by the training part. Among classes with equally many votes the one with the nearest row wins. With fewer than k
    training rows all of them vote.
    """

    def probe(train: np.ndarray, labels: np.ndarray, test: np.ndarray, *, seed: int = 0) -> np.ndarray:
        middle, spread = train.mean(axis=0), train.std(axis=0)
        spread = np.where(spread > 0, spread, 1)
        most = min(k, len(train))
        _, index = nearest((test - middle) / spread, (train - middle) / spread, most, metric)
        classes, code = np.unique(labels, return_inverse=True)
        weight = 1 + 0.5 ** (1 + np.arange(most))  # a vote each; what is added is under one in all and only breaks ties
        votes = np.zeros((len(test), len(classes)))
        np.add.at(votes, (np.arange(len(test))[:, None], code[index]), weight)
        return np.asarray(classes[votes.argmax(axis=1)])

    return probe
