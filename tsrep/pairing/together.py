"""What the objectives of many views have in common: the views side by side, those of this worker and those of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from tsrep.pairs import Gather
from tsrep.series import Embedding, full


@dataclass(frozen=True)
class Together:
    """M views of the same series, of length one.

    mine:    (n, M, feature), of this worker. all: (batch, M, feature), of all workers.
    present: (batch, M) bool: whether a view was recorded.
    own:     (n,) int64: where this worker's series stand in the batch.
    row, who: (n,) and (batch,) int64: the series of the data set.
    """

    mine: Tensor
    all: Tensor
    present: Tensor
    own: Tensor
    row: Tensor
    who: Tensor

    @staticmethod
    def of(embeddings: Mapping[str, Embedding], views: Sequence[str], gather: Gather) -> Together:
        given = [embeddings[name] for name in views]
        mine = torch.stack([normalize(full(e.pooled), dim=-1) for e in given], dim=1)
        present = torch.stack([e.series.present for e in given], dim=1)
        first, _ = gather.place(len(mine))
        row = given[0].series.row
        own = torch.arange(first, first + len(mine), device=mine.device)
        return Together(mine, gather(mine), gather(present), own, row, gather(row))

    @property
    def others(self) -> Tensor:
        """(n, batch) bool: who is another series."""
        return self.own[:, None] != torch.arange(len(self.all), device=self.own.device)

    def share(self, alive: Tensor) -> Tensor:
        """(batch,) bool -> (n,): one over the number of all who are alive, for those of this worker."""
        return alive[self.own].to(self.mine.dtype) / alive.sum().clamp(min=1)
