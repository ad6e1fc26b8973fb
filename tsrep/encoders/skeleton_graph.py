"""Graph convolution over the joints of a body: `skeleton_graph`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor, nn
from torch.nn import functional

from tsrep.encoders.joints import AXES, joints_of, motion, parts_mean
from tsrep.encoders.patch import justify, restore, span
from tsrep.errors import InputError
from tsrep.series import Embedding, Series

KERNEL = 5

PARENTS: Mapping[str, tuple[int, ...]] = {
    "kinect_v1": (0, 0, 1, 2, 2, 4, 5, 6, 2, 8, 9, 10, 0, 12, 13, 14, 0, 16, 17, 18),
    "utd_mhad": (1, 2, 3, 3, 1, 4, 5, 6, 1, 8, 9, 10, 3, 12, 13, 14, 3, 16, 17, 18),
}
"""For each joint the one that its bone leads to, the root to itself: Kinect v1 in the order of its library (NW-UCLA), and as UTD-MHAD
orders the same joints."""


@dataclass(frozen=True)
class SkeletonGraph:
    """Blocks that mix joints along a graph, then steps of each joint. Yan et al., AAAI 2018, arXiv:1801.07455 (ST-GCN), small.

    Positions and differences of frames of a joint enter together. A block is h + Conv_t(ReLU(norm(A h W))), with A = the graph of the
    bones, normalised, plus a matrix that is learned (Shi et al., CVPR 2019, arXiv:1805.07694); then the mean over joints. The norm is
    of each joint and step alone. Channels are joints, x y z of each in turn.

    hidden:   width of a joint.
    blocks:   how many.
    features: width of the embedding of a step; the pooled one has `parts` times as many.
    parts:    equal parts of a series whose steps are averaged apart and joined: more know better when something happened.
    body:     whose bones: kinect_v1 (NW-UCLA), utd_mhad, or free: none are known, the learned matrix has it all.
    dropout:  of what the embedding of a step is made of, while training.
    """

    hidden: Annotated[int, Gt(0)] = 32
    blocks: Annotated[int, Gt(0)] = 3
    features: Annotated[int, Gt(0)] = 64
    parts: Annotated[int, Gt(0)] = 5
    body: Literal["free", "kinect_v1", "utd_mhad"] = "free"
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.1

    def build(self, channels: int, length: int) -> nn.Module:
        """An encoder of (batch, 3 · joints, any time) series. Raises InputError for channels that are no joints, or not the body's."""
        return GraphEncoder(channels, self)


class GraphEncoder(nn.Module):
    causal = False

    def __init__(self, channels: int, config: SkeletonGraph) -> None:
        super().__init__()
        self.channels, self.features, self.parts = channels, config.features * config.parts, config.parts
        self.step_features = config.features
        self.joints = joints_of(channels, "skeleton_graph")
        graph = graph_of(self.joints, config.body)
        self.enter = nn.Linear(2 * AXES, config.hidden)
        self.place = nn.Parameter(0.1 * torch.randn(self.joints, config.hidden))  # which joint it is
        self.blocks = nn.ModuleList(Block(config.hidden, graph) for _ in range(config.blocks))
        wide = 2 * config.hidden
        self.norm, self.dropout = nn.LayerNorm(wide), nn.Dropout(config.dropout)
        self.step = nn.Linear(wide, config.features)

    def forward(self, series: Series) -> Embedding:
        begin, count = span(series.extent)
        width = max(int(count.max()), 1) if len(series) else 1
        count_or_one = count.clamp(min=1)
        inside = (torch.arange(width, device=count.device) < count_or_one[:, None]).to(series.values.dtype)
        both = torch.cat(
            [
                justify(x, begin, count, width).unflatten(1, (self.joints, AXES)).permute(0, 3, 1, 2)
                for x in (series.values, motion(series.values, series.observed))
            ],
            dim=3,
        )  # (batch, time, joint, 6)
        hidden = self.enter(both) + self.place
        for block in self.blocks:
            hidden = block(hidden, inside[:, :, None, None])
        tokens = self.norm(torch.cat([hidden.mean(2), hidden.amax(2)], dim=2))
        steps: Tensor = self.step(self.dropout(tokens)).mT
        return Embedding(restore(steps, begin, series.extent), parts_mean(steps, count_or_one, self.parts), series)


class Block(nn.Module):
    """(batch, time, joint, feature) -> the same; inside: (batch, time, 1, 1)."""

    def __init__(self, hidden: int, graph: Tensor) -> None:
        super().__init__()
        self.learned = nn.Parameter(graph + 0.01 * torch.randn_like(graph))
        self.mix, self.norm = nn.Linear(hidden, hidden), nn.LayerNorm(hidden)
        self.time = nn.Conv1d(hidden, hidden, KERNEL, padding=KERNEL // 2)

    def forward(self, x: Tensor, inside: Tensor) -> Tensor:
        mixed = functional.relu(self.norm(self.mix(self.learned @ x))) * inside
        batch, time, joints, hidden = mixed.shape
        lines = mixed.permute(0, 2, 3, 1).reshape(batch * joints, hidden, time)
        out: Tensor = x + self.time(lines).view(batch, joints, hidden, time).permute(0, 3, 1, 2)
        return out


def graph_of(joints: int, body: str) -> Tensor:
    """D^(−½) (A + I) D^(−½) of the bones, (joint, joint); the identity where no bones are known."""
    graph = torch.eye(joints)
    if body != "free":
        parents = PARENTS[body]
        if len(parents) != joints:
            raise InputError(
                f"expected the {len(parents)} joints of {body}, got {joints}: take skeleton_graph.body=free for another body"
            )
        at = torch.tensor(parents)
        graph[torch.arange(joints), at] = graph[at, torch.arange(joints)] = 1.0
    scale = graph.sum(1).rsqrt()
    return scale[:, None] * graph * scale
