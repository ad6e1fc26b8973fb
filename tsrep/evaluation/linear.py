"""Linear probes: what a hyperplane reads off frozen features. Logistic regression, and ridge for very many features."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

GRID = (0.01, 0.1, 1.0, 10.0, 100.0)
"""Inverse strength of regularisation C that cross-validation chooses from."""

PENALTIES = np.logspace(-3, 3, 10)
"""What ridge chooses from."""

MOST = 2000
"""Rows on which C is chosen; the probe is then fitted on all of them."""


def linear(train: np.ndarray, labels: np.ndarray, test: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Standardise by the training part, then multinomial logistic regression; (m,) predicted labels.

    train (n, feature), labels (n,), test (m, feature). C is chosen from `GRID` by stratified cross-validation inside
    the
    training part: as many folds as the rarest class has rows, at most 5. With fewer than two rows in some class there
    is nothing to choose by, and C is 1.
    """
    return np.asarray(fitted(train, labels, seed=seed).predict(test))


def fitted(train: np.ndarray, labels: np.ndarray, *, seed: int = 0) -> Any:
    """The pipeline of `linear`, a scaler and a regression, fitted."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def probe(c: float) -> Any:
        return make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=1000))

    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", ConvergenceWarning
        )  # separable classes have no finite optimum; the class is the same
        best = 1.0
        index = stratified(labels, MOST, seed)
        folds = min(5, int(np.unique(labels[index], return_counts=True)[1].min()))
        if folds >= 2:
            cut = StratifiedKFold(folds, shuffle=True, random_state=seed)
            search = GridSearchCV(probe(1.0), {"logisticregression__C": list(GRID)}, cv=cut, refit=False)
            best = search.fit(train[index], labels[index]).best_params_["logisticregression__C"]
        return probe(best).fit(train, labels)


def ridge(train: np.ndarray, labels: np.ndarray, test: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Standardise by the training part, then ridge classification; (m,) predicted labels.

    The penalty is chosen from `PENALTIES` by leave-one-out on the training part, in closed form: the classifier that
    MiniRocket is published with (Dempster et al., KDD 2021, arXiv:2012.08791). Rows that are alone in their class take no
    part in the choice, for without them nothing is known of the class, and the largest penalty would win by predicting
    none. Where fewer than two classes are left there is nothing to choose by, and it is 1.
    """
    from sklearn.linear_model import RidgeClassifier, RidgeClassifierCV
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(train)
    x, unseen = scaler.transform(train), scaler.transform(test)
    _, code, count = np.unique(labels, return_inverse=True, return_counts=True)
    several = count >= 2
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)  # few labels of many classes
        if several.all():
            return np.asarray(RidgeClassifierCV(PENALTIES).fit(x, labels).predict(unseen))
        penalty = 1.0
        if several.sum() >= 2:
            rows = several[code]
            penalty = RidgeClassifierCV(PENALTIES).fit(x[rows], labels[rows]).alpha_
        return np.asarray(RidgeClassifier(penalty).fit(x, labels).predict(unseen))


def stratified(labels: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Positions of at most `most` rows with the classes in their shares, none lost; all rows where they are few."""
    if len(labels) <= most:
        return np.arange(len(labels))
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    _, code = np.unique(labels, return_inverse=True)
    rank = np.empty(len(labels), np.int64)  # of each row within its class, in random order
    by_class = order[np.argsort(code[order], kind="stable")]
    count = np.bincount(code)
    first = np.cumsum(count) - count
    rank[by_class] = np.arange(len(labels)) - first[code[by_class]]
    share = np.maximum(1, count * most // len(labels))
    return np.flatnonzero(rank < share[code])
