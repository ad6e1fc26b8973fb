"""Map: embeddings in the plane, so that one sees which series the encoder takes for alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tsrep.errors import InputError
from tsrep.plots.style import QUIET, canvas, colour, look, marker, short

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 24
"""Classes that get a colour and shape of their own, the most frequent first; the others are grey."""


def embedding_map(
    embeddings: np.ndarray,
    labels: np.ndarray | None = None,
    *,
    method: str = "pca",
    seed: int = 0,
    title: str = "Embedding map",
) -> Figure:
    """One point a row of embeddings (n, feature), coloured by labels (n,).

    method "pca" (the default: deterministic, distances mean something, the axes say how much of the variance they hold)
    or "tsne" (neighbourhoods only; distances between groups mean nothing).
    """
    embeddings = np.asarray(embeddings, float)
    if embeddings.ndim != 2 or not embeddings.size or not np.isfinite(embeddings).all():
        raise InputError(f"expected finite embeddings of shape (n, feature), got {embeddings.shape}")
    if labels is not None and len(labels) != len(embeddings):
        raise InputError(f"expected one label for each of the {len(embeddings)} embeddings, got {len(labels)}")
    if method not in ("pca", "tsne"):
        raise InputError(f"expected method 'pca' or 'tsne', got '{method}'")
    if method == "pca":
        points, share = pca(embeddings)
        axis = [f"principal component {i + 1} ({share[i]:.0%} of variance)" for i in range(2)]
    else:
        points, axis = _tsne(embeddings, seed), ["t-SNE 1", "t-SNE 2"]
    with look():
        figure, axes = canvas(7, 5)
        ax = axes[0, 0]
        size = float(np.clip(4000 / len(points), 6, 38))
        style = {"s": size, "linewidths": 0.4 if size > 12 else 0, "edgecolors": "white", "alpha": 0.85}
        for place, (name, here) in enumerate(_groups(labels, len(points))):
            grey = name is None and labels is not None
            ax.scatter(
                points[here, 0],
                points[here, 1],
                color=QUIET if grey else colour(place),
                marker="o" if grey else marker(place),
                zorder=1 if grey else 2,
                label="other" if grey else f"{short(name)} ({int(here.sum())})" if labels is not None else None,
                **style,
            )
        ax.set_xlabel(axis[0])
        ax.set_ylabel(axis[1])
        ax.set_title(f"{title}  (n = {len(points)})")
        ax.set_aspect("equal", adjustable="datalim")
        ax.margins(0.06)
        if method == "tsne":
            ax.set_xticks([])
            ax.set_yticks([])
        if labels is not None:
            ax.legend(
                loc="center left", bbox_to_anchor=(1.01, 0.5), markerscale=1.3 if size > 12 else 2.5, handletextpad=0.3
            )
    return figure


def pca(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """rows (n, feature) -> points (n, 2), the share of variance of each axis (2,). The sign is fixed: the same rows
    give the same map."""
    centred = rows - rows.mean(axis=0)
    left, value, right = np.linalg.svd(centred, full_matrices=False)
    points = np.zeros((len(rows), 2))
    share = np.zeros(2)
    kept = min(2, len(value))
    top = np.take_along_axis(right[:kept], np.abs(right[:kept]).argmax(axis=1)[:, None], axis=1)[:, 0]
    points[:, :kept] = left[:, :kept] * value[:kept] * np.where(top < 0, -1, 1)
    if (value > 0).any():
        share[:kept] = value[:kept] ** 2 / (value**2).sum()
    return points, share


def _tsne(rows: np.ndarray, seed: int) -> np.ndarray:
    from sklearn.manifold import TSNE

    if len(rows) < 4:
        raise InputError(f"t-SNE expects at least 4 embeddings, got {len(rows)}; use method 'pca'")
    start = pca(rows)[0]
    start = start / (start.std() or 1.0) * 1e-4
    nearest = min(30.0, (len(rows) - 1) / 3)
    return np.asarray(TSNE(2, perplexity=nearest, init=start, random_state=seed).fit_transform(rows))


def _groups(labels: np.ndarray | None, n: int) -> list[tuple[object, np.ndarray]]:
    """Name and members of each group: classes in order, and None for all that are beyond `MOST`, drawn first."""
    if labels is None:
        return [(None, np.ones(n, bool))]
    labels = np.asarray(labels)
    classes, count = np.unique(labels, return_counts=True)
    if len(classes) <= MOST:
        return [(name, labels == name) for name in classes]
    kept = np.sort(np.argsort(-count, kind="stable")[:MOST])
    groups: list[tuple[object, np.ndarray]] = [(classes[i], labels == classes[i]) for i in kept]
    return [*groups, (None, ~np.isin(labels, classes[kept]))]
