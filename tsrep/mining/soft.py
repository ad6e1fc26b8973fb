"""Soft assignments (SoftCLT): what is alike repels less and attracts a little."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Literal
from weakref import WeakKeyDictionary

import torch
from annotated_types import Gt, Le
from torch import Tensor, nn

from tsrep import elastic
from tsrep.errors import InputError
from tsrep.even import filled, stretched
from tsrep.pairs import Mined, Pairs
from tsrep.series import Series


@dataclass(frozen=True)
class Soft:
    """What is near in the data attracts a little instead of repelling. Lee et al., ICLR 2024, arXiv:2312.16424.

    Of each mass of repulsion the share w becomes attraction, and the loss is `losses.soft`, Σ_j a_ij (−log p_ij):
    between series w = 2α σ(−τ_I D), D their distance, scaled over all pairs of training series to go from 0 to 1;
    within a series w = 2σ(−τ_T |t − t'|), t in steps of the series: at a scale where neighbours are 2^k steps apart that is
    the paper's doubling of τ_T from scale to scale. The released code scales every column of D by itself.

    instance: τ_I; the paper tries 1 to 20. None: pairs between series stay hard, and no D is computed.
    temporal: τ_T per step; the paper tries .5 to 2.5. None: pairs within a series stay hard.
    alpha:    α, what a series at distance 0 counts beside the positive.
    distance: euclidean: root of the mean square over what was observed in both series. dtw: dynamic time warping of all channels
              together (`tsrep.elastic`), of series stretched from their first to their last step to the length of the longest,
              gaps filled in straight lines; about half a millisecond a pair at 100 steps, and four times that at 200.

    D has O(n²) numbers and is computed once: InputError for more than 10 000 series, or 1 000 with dtw. Series of validation have
    no row in it: in evaluation all pairs are hard, which makes the loss that of InfoNCE.
    """

    instance: Annotated[float, Gt(0)] | None = 10.0
    temporal: Annotated[float, Gt(0)] | None = 1.5
    alpha: Annotated[float, Gt(0), Le(1)] = 0.5
    distance: Literal["euclidean", "dtw"] = "euclidean"

    def build(self, data: Series) -> Mined:
        apart = None if self.instance is None else distances(data, self.distance)
        return Mined(mine=Assign(self, apart), loss=("soft", {}))


class Assign(nn.Module):
    """Moves shares of repulsion to attraction. apart: (n, n) distances of all series from 0 to 1; it follows from the data and is not
    saved."""

    apart: Tensor | None

    def __init__(self, settings: Soft, apart: Tensor | None) -> None:
        super().__init__()
        self.settings = settings
        self.register_buffer("apart", apart, persistent=False)

    def forward(self, pairs: Pairs) -> Pairs:
        if pairs.moment is None and pairs.who is None:
            raise InputError(
                "mining.soft: expected pairs that say which series or steps their candidates are, got pairs that say neither; "
                "leave soft out or take another method"
            )
        share = (self.of_series(pairs) if pairs.moment is None else self.of_steps(pairs)) if self.training else None
        if share is None:
            return pairs
        share = share.to(pairs.repel.dtype)
        return replace(pairs, attract=pairs.attract + share * pairs.repel, repel=(1.0 - share) * pairs.repel)

    def of_series(self, pairs: Pairs) -> Tensor | None:
        """w between series, broadcastable to the scores; a candidate that is no series (−1) is like nobody."""
        if self.apart is None or self.settings.instance is None or pairs.who is None:
            return None
        who = pairs.who[..., None, :]
        apart = self.apart[pairs.row[..., :, None], who.clamp(min=0)]
        share = 2.0 * self.settings.alpha * torch.sigmoid(-self.settings.instance * apart)
        return torch.where(who < 0, 0.0, share)

    def of_steps(self, pairs: Pairs) -> Tensor | None:
        """w between the steps of one series."""
        if self.settings.temporal is None or pairs.moment is None:
            return None
        here, there = (moment.to(pairs.score.dtype) for moment in pairs.moment)
        return 2.0 * torch.sigmoid(-self.settings.temporal * (here[..., :, None] - there[..., None, :]).abs())


MOST = {"euclidean": 10_000, "dtw": 1_000}
"""Series of which all distances are computed: 400 MB, and some minutes at 100 steps."""


_known: WeakKeyDictionary[Series, dict[str, Tensor]] = WeakKeyDictionary()
"""Distances of data that somebody still holds: the same for every term of a method, and for its rehearsal."""


def distances(data: Series, kind: str) -> Tensor:
    """(n, n) distances between series from 0, those of the nearest two, to 1; 0 to itself. All 1 where all are alike.

    Computed once, and kept as long as the data is.
    """
    known = _known.setdefault(data, {})
    if kind not in known:
        known[kind] = _scaled(data, kind)
    return known[kind]


def _scaled(data: Series, kind: str) -> Tensor:
    n = len(data)
    if n > MOST[kind]:
        raise InputError(
            f"mining.soft: expected at most {MOST[kind]} series for the distances of all pairs by {kind}, got {n}; take "
            + ("distance=euclidean, or " if kind == "dtw" else "")
            + "instance=null, which leaves pairs between series hard, or fewer windows"
        )
    apart = DISTANCES[kind](data).fill_diagonal_(torch.nan)
    unknown = apart.isnan()
    low, high = apart.masked_fill(unknown, torch.inf).amin(), apart.masked_fill(unknown, -torch.inf).amax()
    if not high - low > ALIKE * high:
        return torch.ones_like(apart).fill_diagonal_(0.0)
    return apart.sub_(low).div_(high - low).nan_to_num_(1.0).fill_diagonal_(0.0)


ALIKE = 1e-6
"""Distances that differ by a smaller share than this differ by rounding."""

CHUNK = 512
"""Series whose distances to all others are computed at a time."""


def euclidean(data: Series) -> Tensor:
    """sqrt(mean of (x − y)² over the channels and steps that were observed in both), NaN where there are none: (n, n) float32."""
    seen = data.observed.flatten(1).double()
    values = data.values.flatten(1).double() * seen
    squares = values.square()
    apart = torch.empty(len(data), len(data))
    for rows in torch.arange(len(data)).split(CHUNK):
        # Σ m_x m_y (x − y)² by three products, m being what was observed
        total = squares[rows] @ seen.T + seen[rows] @ squares.T - 2.0 * values[rows] @ values.T
        apart[rows] = (total.clamp(min=0.0) / (seen[rows] @ seen.T)).sqrt().float()
    return apart


def dtw(data: Series) -> Tensor:
    """Root of the least sum of squared distances over all ways to warp one series onto the other, NaN where one of them was not
    observed: (n, n) float32."""
    here = data.present
    apart = torch.full((len(data), len(data)), torch.nan)
    if bool(here.any()):
        values = data.values.masked_fill(~data.observed, torch.nan)[here].cpu().numpy()
        whole = filled(values)
        square = elastic.dtw(stretched(whole, max(one.shape[1] for one in whole)))
        places = here.nonzero()[:, 0]
        apart[places[:, None], places] = torch.from_numpy(square).sqrt().float()
    return apart


DISTANCES: Mapping[str, Callable[[Series], Tensor]] = {"euclidean": euclidean, "dtw": dtw}
