"""What the page computes, by hand: shared by the tests of the page."""

import numpy as np


def by_hand(embeddings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Principal components by SVD, signs as the page has them, and the shares of the variance."""
    centred = embeddings.astype(np.float64) - embeddings.mean(axis=0, dtype=np.float64)
    _, size, axes = np.linalg.svd(centred, full_matrices=False)
    axes = axes[:2] * np.sign(axes[np.arange(2), np.abs(axes[:2]).argmax(axis=1)])[:, None]
    return centred @ axes.T, size[:2] ** 2 / (size**2).sum()
