"""ColloSSL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt
from torch import nn

from tsrep.method import DataShape, Method, Phase, Term
from tsrep.mining.device_selection import DeviceSelection, Rule, acceleration
from tsrep.pairing.collaborative import Collaborative
from tsrep.views import chain
from tsrep.views.modalities import Modalities, fitted


@dataclass(frozen=True)
class ColloSSL:
    """Devices that one person wears attract at the same moment and repel at others. Jain et al., IMWUT 2022, arXiv:2202.00758.

    anchor:      the device whose moments are the anchors; "random", another one in every batch; "all", each in every batch.
    selection:   which of the other devices attract and repel, by rank of their distance to the anchor, the maximum mean discrepancy of
                 their accelerations (channels acc_x, acc_y, acc_z where they are named so, otherwise all).
    once:        the distances are the mean over the first epoch, and stay; False: they are those of the batch.
    temperature: τ of the cosine similarity.
    negatives:   moments of each repelling device that an anchor meets.
    augment:     augmentations of every stream, in order: a name, or a name with its parameters. The paper has none.
    seed:        of which moments meet and which anchors are drawn.
    """

    recommended: ClassVar[Mapping[str, Any]] = {"batch_size": 128, "schedule": "cosine"}
    streams: ClassVar[int] = 2

    anchor: str = "random"
    selection: Rule = "closest_pos_all_neg"
    once: bool = False
    temperature: Annotated[float, Gt(0)] = 0.05
    negatives: Annotated[int, Gt(0)] = 1
    augment: tuple[str | dict[str, dict[str, Any]], ...] = ()
    seed: Annotated[int, Ge(0)] = 0

    def build(self, encoder: nn.Module, data: DataShape) -> Method:
        names = tuple(stream.name for stream in data.streams)
        sensors = {stream.name: acceleration(stream.channels) for stream in data.streams}
        select = DeviceSelection(names, sensors, self.selection, once=self.once)
        pairing = Collaborative(names, select, self.anchor, self.temperature, self.negatives, self.seed)
        augment = chain(self.augment)
        views = {stream.name: fitted(augment, stream.channels) for stream in data.streams}
        phase = Phase("contrast", (encoder,), {"collaborative": Term(pairing)})
        return Method("collossl", Modalities(views), encoder, (phase,))
