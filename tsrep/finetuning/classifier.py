"""A linear head that names the class, and the cross-entropy that teaches it and its encoder."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from tsrep.pairs import Gather
from tsrep.series import Embedding, Series, Views, full


class Classifier(nn.Module):
    """Series -> an embedding whose pooled part is a score (logit) of each class, (batch, class): W z + b of what the encoder pooled.

    The steps stay those of the encoder.
    """

    causal = False

    def __init__(self, encoder: nn.Module, classes: int) -> None:
        super().__init__()
        self.encoder, self.features = encoder, classes
        self.head = nn.Linear(cast(int, encoder.features), classes)

    def forward(self, series: Series) -> Embedding:
        made: Embedding = self.encoder(series)
        return Embedding(made.steps, self.head(made.pooled), series)


class CrossEntropy:
    """−log softmax of the true class, the mean over the rows of a batch and over its views.

    label: (rows,) int64, the class of every row, looked up by the rows of a series.
    joint: the scores of one row's streams are added up, which is one linear head on all embeddings side by side; a stream that a row
           lacks adds nothing. Views of one side ("imu/left" and "skeleton/left") belong together. False: every view by itself.
    """

    def __init__(self, label: Tensor, *, joint: bool) -> None:
        self.label, self.joint = label, joint

    def __call__(self, views: Views, embeddings: Mapping[str, Embedding], gather: Gather) -> Tensor:
        groups: dict[str, list[Embedding]] = {}
        for name, embedding in embeddings.items():
            groups.setdefault(name.partition("/")[2] if self.joint else name, []).append(embedding)
        losses = []
        for parts in groups.values():
            scores = reduce(torch.add, (full(e.pooled) * e.series.present[:, None] for e in parts))
            row = parts[0].series.row
            losses.append(functional.cross_entropy(scores, self.label.to(row.device)[row], reduction="sum"))
        _, total = gather.place(len(next(iter(embeddings.values())).pooled))
        return reduce(torch.add, losses) / (len(losses) * total)
