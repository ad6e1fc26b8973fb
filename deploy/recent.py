"""What a model embedded of late, in bounded memory."""

from __future__ import annotations

import numpy as np


class Recent:
    """The last embeddings of a model, as a ring. seen: how many there ever were."""

    def __init__(self, most: int, features: int) -> None:
        self._held = np.empty((most, features), np.float32)
        self.seen = 0

    def __len__(self) -> int:
        return min(self.seen, len(self._held))

    def put(self, embeddings: np.ndarray) -> None:
        """(n, feature)."""
        most = len(self._held)
        last = embeddings[-most:] if most else embeddings[:0]
        self._held[(self.seen + len(embeddings) - len(last) + np.arange(len(last))) % max(1, most)] = last
        self.seen += len(embeddings)

    def now(self) -> np.ndarray:
        """(n, feature), in no order."""
        return self._held[: len(self)].copy()
