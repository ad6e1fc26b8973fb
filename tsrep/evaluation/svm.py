"""SVM probe: the protocol by which TS2Vec and its successors report UCR and UEA accuracy."""

from __future__ import annotations

import warnings

import numpy as np

GRID = (1e-4, 1e-3, 1e-2, 1e-1, 1e0, 1e1, 1e2, 1e3, 1e4, 1e8)
"""C: powers of ten, and 1e8 for the protocol's infinity, which scikit-learn refuses."""

MOST = 10_000
"""Rows beyond which the protocol takes a stratified sample, always the same one."""


def svm(train: np.ndarray, labels: np.ndarray, test: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """RBF support vector machine on features as they are; (m,) predicted labels.

    train (n, feature), labels (n,), test (m, feature). gamma is 1 / (feature * variance). C is chosen from `GRID` by
    5-fold cross-validation on the training part; with fewer than 5 rows a class or fewer than 50 rows at all it is
    infinite without a search. Over 10 000 rows a stratified sample of 10 000 stands for them.

    Yue et al., AAAI 2022, arXiv:2106.10466, `tasks/_eval_protocols.py`. The folds are unshuffled and the sample is
    drawn with
    seed 0, as there: `seed` changes nothing, and the spread over seeds is the encoder's alone.
    """
    from sklearn.model_selection import StratifiedKFold, train_test_split
    from sklearn.svm import SVC

    if not searched(len(labels), len(np.unique(labels))):
        return np.asarray(SVC(C=GRID[-1], gamma="scale").fit(train, labels).predict(test))
    if len(labels) > MOST:
        train, _, labels, _ = train_test_split(train, labels, train_size=MOST, random_state=0, stratify=labels)
    score = np.zeros(len(GRID))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")  # the protocol searches all the same
        for fitted, held in StratifiedKFold(5).split(train, labels):
            # The kernel depends on the fold and not on C: it is computed once for the whole grid.
            own, others = kernels(train[fitted], train[held])
            for place, c in enumerate(GRID):
                machine = SVC(C=c, kernel="precomputed", max_iter=10_000_000).fit(own, labels[fitted])
                score[place] += np.mean(machine.predict(others) == labels[held])
    best = GRID[int(np.round(score / 5, 12).argmax())]  # of equals the smallest
    return np.asarray(SVC(C=best, gamma="scale", max_iter=10_000_000).fit(train, labels).predict(test))


def kernels(train: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """exp(−γ |x − y|²) with γ = 1 / (feature · variance of train): (n, feature), (m, feature) -> (n, n), (m, n)."""
    from sklearn.metrics.pairwise import rbf_kernel

    spread = train.var()
    gamma = 1.0 / (train.shape[1] * spread) if spread > 0 else 1.0
    return rbf_kernel(train, gamma=gamma), rbf_kernel(other, train, gamma=gamma)


def searched(n: int, classes: int) -> bool:
    """Whether n rows of so many classes are enough for the protocol to search for C."""
    return n >= 50 and n / classes >= 5
