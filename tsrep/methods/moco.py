"""MoCo for time series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, cast

from annotated_types import Ge, Gt, Lt
from torch import nn

from tsrep.encoders.momentum import SlowCopy
from tsrep.method import DataShape, Method, Phase, Term
from tsrep.pairing.queue import Queue
from tsrep.views import chain
from tsrep.views.two import Two


@dataclass(frozen=True)
class MoCo:
    """A queue of what a slow copy of the encoder made of earlier batches repels. He et al., CVPR 2020, arXiv:1911.05722.

    The first view of a series is a query, the second, embedded by the slow copy, its key. The query attracts its key and is repelled by
    the keys of earlier batches, so the number of negatives is not that of the batch. The first batch has nothing that repels.

    temperature: τ of the cosine similarity.
    queue:       keys that are kept; never more than there are series to train on, for then each is there already. The paper's 65536
                 are a twentieth of its data.
    momentum:    m, what of the slow copy stays in a step; after 1/(1 − m) steps two thirds of it are new. The paper's .999 is for
                 some hundred thousand steps; in a few hundred, queries run ahead of keys that are so slow (from .99 on the alignment
                 of the two is beyond chance at first).
    projection:  width of the projection head's output; the head is thrown away after training.
    augment:     augmentations of each view, in order: a name, or a name with its parameters.
    """

    recommended: ClassVar[Mapping[str, Any]] = {"batch_size": 64, "schedule": "cosine", "warmup": 10}

    temperature: Annotated[float, Gt(0)] = 0.07
    queue: Annotated[int, Gt(1)] = 1024
    momentum: Annotated[float, Ge(0), Lt(1)] = 0.97
    projection: Annotated[int, Gt(0)] = 128
    augment: tuple[str | dict[str, dict[str, Any]], ...] = ("jitter", "scale", "time_warp")

    def build(self, encoder: nn.Module, data: DataShape) -> Method:
        width = cast(int, encoder.features)
        head = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, self.projection))
        queue = Queue(min(self.queue, data.rows), self.projection, self.temperature)
        phase = Phase("contrast", (encoder, head), {"queue": Term(queue)})
        slow = SlowCopy(encoder, head, self.momentum)
        return Method("moco", Two(chain(self.augment)), encoder, (phase,), head, slow=slow, keys=(queue.key,))
