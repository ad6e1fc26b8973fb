"""Clustering: do classes fall apart by themselves, without a label being used."""

from __future__ import annotations

import warnings

import numpy as np

from tsrep.errors import InputError
from tsrep.evaluation.checks import check_classes, check_features, check_labels

MOST = 5000
"""Rows on which the silhouette, quadratic in them, is taken."""


def cluster(
    features: np.ndarray, labels: np.ndarray, *, clusters: int | None = None, restarts: int = 10, seed: int = 0
) -> dict[str, float]:
    """k-means on standardised features, held against the labels.

    features (n, feature), labels (n,); as many clusters as classes unless said. Returns the adjusted Rand index (0
    chance, 1 equal; Hubert and Arabie 1985), normalised mutual information ([0, 1]) and the silhouette of the clusters
    ([-1, 1], 0 where all rows are equal; on at most 5000 rows).
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score, silhouette_score
    from sklearn.preprocessing import StandardScaler

    features = check_features(features)
    labels = check_labels(labels, len(features))
    clusters = len(check_classes(labels, "labels")) if clusters is None else clusters
    if not 2 <= clusters <= len(features):
        raise InputError(f"expected between 2 clusters and one for each of the {len(features)} rows, got {clusters}")
    scaled = StandardScaler().fit_transform(features)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct rows than clusters
        found = KMeans(clusters, n_init=restarts, random_state=seed).fit_predict(scaled)
    silhouette = 0.0
    if 2 <= len(np.unique(found)) < len(features):
        some = np.random.default_rng(seed).permutation(len(features))[:MOST]
        if 2 <= len(np.unique(found[some])) < len(some):
            silhouette = float(silhouette_score(scaled[some], found[some]))
    return {
        "adjusted Rand index": float(adjusted_rand_score(labels, found)),
        "normalised mutual information": float(normalized_mutual_info_score(labels, found)),
        "silhouette": silhouette,
    }
