"""A transformer over patches of a series: `patch`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from annotated_types import Ge, Gt, Lt
from torch import Tensor, nn

from tsrep.errors import InputError
from tsrep.series import POOLS, Embedding, Series

FLOOR = 1e-2
"""Added to the variance of a window, in units of the training variance, so that a flat window is not blown up."""


@dataclass(frozen=True)
class Patch:
    """Transformer encoder over patches of `patch` steps.

    A patch token is a linear map of the patch's values (zero where nothing was observed) and of the fraction of it that
    was observed, per channel; a patch of which nothing was observed is a zero token that has its position only.
    Sinusoidal positions and attention that ignores padding let it take series of any length, however long the training
    windows were.
    Patching after Nie et al., ICLR 2023, arXiv:2211.14730 (but all channels in one token), pooling by a CLS token after
    Chang et al. (TimeDRL), ICDE 2024, arXiv:2312.04142; layers normalise first (Xiong et al., ICML 2020,
    arXiv:2002.04745).

    patch:    steps in a patch.
    stride:   steps from one patch to the next; less than `patch` lets them overlap.
    hidden:   width of a token.
    layers:   how many; the hidden units of a layer are 4 times `hidden`.
    heads:    of the attention in each layer.
    features: width of the embedding.
    dropout:  of tokens, attention weights and layers, while training.
    pool:     pooled embedding over the patches of the series: "mean", "max", "last", or "cls", a learned token; or "flat",
              the tokens one after another (patches * hidden numbers), the last patch last, much as TimeDRL reads its
              encoder to forecast: before the last normalisation, which would take how large the window is, and divided by
              sqrt(patches), so that all together are as long as one. A series shorter than the training windows leaves the
              first places zero.
    between:  step embeddings from patch embeddings: "linear" between the centres of patches, or the "nearest" one.
    causal:   the embedding of a step sees no later step: attention looks back only, and a step takes the newest patch
              that is complete, so it lags by up to `stride` - 1 steps; `between` must be "nearest", `pool` not "cls".
              The pooled embedding sees the whole series; one more patch takes the steps after the last complete one.
    normalise: what each window is freed of, channel by channel over its observed steps, before it is cut into patches: "none";
              "last", its last observed value; "window", its mean and its deviation s = sqrt(variance + 0.01), as in RevIN (Kim
              et al., ICLR 2022) without the affine map (values are in units of the training deviation; the floor keeps a
              flat window flat). What is lost, is lost on purpose: what forecasts from the embedding adds it again.
    """

    patch: Annotated[int, Gt(0)] = 8
    stride: Annotated[int, Gt(0)] = 8
    hidden: Annotated[int, Gt(0)] = 64
    layers: Annotated[int, Gt(0)] = 3
    heads: Annotated[int, Gt(0)] = 4
    features: Annotated[int, Gt(0)] = 320
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.1
    pool: Literal["mean", "max", "last", "cls", "flat"] = "mean"
    between: Literal["linear", "nearest"] = "linear"
    causal: bool = False
    normalise: Literal["none", "last", "window"] = "none"

    def build(self, channels: int, length: int) -> nn.Module:
        """An encoder of (batch, channels, any time) series that is trained on windows of `length` steps."""
        if self.patch > length:
            raise InputError(
                f"expected patches no longer than the window of {length} steps, got patch={self.patch}: "
                "choose shorter patches or longer windows"
            )
        if not 0 < self.stride <= self.patch:
            raise InputError(
                f"expected stride from 1 to patch={self.patch}, got {self.stride}: "
                "with a longer one, steps between the patches would be lost"
            )
        if self.hidden % self.heads or self.hidden % 2:
            raise InputError(f"expected an even hidden width that {self.heads} heads divide, got hidden={self.hidden}")
        if self.causal and (self.pool in ("cls", "flat") or self.between == "linear"):
            raise InputError(
                'expected between="nearest" and a pool other than "cls" and "flat" for a causal encoder, '
                f'got between="{self.between}" and pool="{self.pool}"'
            )
        if self.causal and self.normalise != "none":
            raise InputError(
                f'expected normalise="none" for a causal encoder, got "{self.normalise}": the mean and the deviation '
                "of a window are of all its steps, later ones too"
            )
        return PatchEncoder(channels, length, self)


class PatchEncoder(nn.Module):
    """features: width of the pooled embedding, which is that of a step too unless pool="flat"."""

    def __init__(self, channels: int, length: int, config: Patch) -> None:
        super().__init__()
        self.channels, self.length, self.causal = channels, length, config.causal
        self.config = config
        self.places = int(self._number(length)) if config.pool == "flat" else 1
        self.features = self.places * config.hidden if config.pool == "flat" else config.features
        self.step_features = config.features
        self.token = nn.Linear(channels * (config.patch + 1), config.hidden)
        self.cls = nn.Parameter(0.02 * torch.randn(config.hidden)) if config.pool == "cls" else None
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.hidden)
        self.out = nn.Linear(config.hidden, config.features)

    def forward(self, series: Series) -> Embedding:
        begin, count = span(series.extent)
        width = max(int(count.max()), 1) if len(series) else 1
        if self.config.pool == "flat" and width > self.length:
            raise InputError(
                f"expected windows of at most {self.length} steps for pool=flat, got {width}: "
                "cut them, or choose a pool that takes any length"
            )
        values = normalised(series.values, series.observed, self.config.normalise)
        patches = self._patches(justify(values, begin, count, width))
        seen = self._patches(justify(series.observed.to(patches.dtype), begin, count, width))
        tokens = self._tokens(patches, seen)
        n = tokens.shape[1]
        # A series without any step keeps its first patch, so that no softmax is taken over nothing.
        inside = torch.arange(n, device=tokens.device) < self._number(count)[:, None]
        mixed = self._attend(tokens, inside)
        tokens = self.norm(mixed)
        if self.cls is not None:
            pooled, tokens = self.out(tokens[:, 0]), tokens[:, 1:]
        elif self.config.pool == "flat":
            pooled = flat(mixed, inside, self.places) / self.places**0.5
        else:
            pooled = POOLS[self.config.pool](self.out(tokens).mT, inside)
        time = torch.arange(series.length, device=begin.device) - begin[:, None]
        steps = self.out(self._between(tokens, count, time.clamp(0, width - 1))).mT
        if not bool(series.extent.all()):
            steps = steps * series.extent[:, None].to(steps.dtype)
        return Embedding(steps, pooled, series)

    def _number(self, count: Tensor | int) -> Tensor:
        """How many patches a series of `count` steps has: all of its steps are in one."""
        uncovered = torch.as_tensor(count) - (1 if self.causal else self.config.patch)
        return uncovered.clamp(min=0).add(self.config.stride - 1).div(self.config.stride, rounding_mode="floor") + 1

    def _patches(self, x: Tensor) -> Tensor:
        """(batch, channel, time) -> (batch, channel, patch, step of the patch), zero after the end.

        A causal patch k ends at step k * stride, so the first of them reach to before the beginning."""
        c = self.config
        before = c.patch - 1 if self.causal else 0
        whole = (int(self._number(x.shape[2])) - 1) * c.stride + c.patch
        return F.pad(x, (before, whole - before - x.shape[2])).unfold(2, c.patch, c.stride)

    def _tokens(self, patches: Tensor, seen: Tensor) -> Tensor:
        """(batch, patch, hidden), positions added."""
        values = torch.cat([patches.flatten(3), seen.mean(dim=3, keepdim=True)], dim=3)
        tokens: Tensor = self.token(values.transpose(1, 2).flatten(2))
        tokens = tokens * seen.amax(dim=(1, 3))[:, :, None].to(tokens.dtype)
        return tokens + positions(tokens.shape[1], tokens.shape[2], tokens.device).to(tokens.dtype)

    def _attend(self, tokens: Tensor, inside: Tensor) -> Tensor:
        # Looking back from a step of the series never meets padding, which comes after it: no mask is needed then.
        mask = None if self.causal or bool(inside.all()) else inside[:, None, None, :]
        if self.cls is not None:
            tokens = torch.cat([self.cls.to(tokens.dtype).expand(len(tokens), 1, -1), tokens], dim=1)
            mask = None if mask is None else F.pad(mask, (1, 0), value=True)
        tokens = self.dropout(tokens)
        for layer in self.layers:
            tokens = layer(tokens, mask)
        return tokens

    def _between(self, tokens: Tensor, count: Tensor, time: Tensor) -> Tensor:
        """Tokens (batch, patch, hidden) at these steps of the series: (batch, time) int64 -> (batch, time, hidden).

        Between two tokens rather than between their embeddings, which is the same, for embeddings are linear in tokens,
        and moves fewer numbers."""
        c = self.config
        if self.causal:
            return _take(tokens, time.div(c.stride, rounding_mode="floor"))
        last = (self._number(count) - 1)[:, None]
        place = ((time - (c.patch - 1) / 2) / c.stride).clamp(min=0).minimum(last)
        if c.between == "nearest":
            return _take(tokens, place.round().long())
        low = place.floor().long()
        share = (place - low).to(tokens.dtype)[:, :, None]
        return torch.lerp(_take(tokens, low), _take(tokens, (low + 1).minimum(last)), share)


class Layer(nn.Module):
    """x + attention(norm x), then x + mlp(norm x). Tokens (batch, token, hidden); mask (batch, 1, 1, token), True where
    a token is to be seen, or None for all."""

    def __init__(self, config: Patch) -> None:
        super().__init__()
        hidden = config.hidden
        self.heads, self.rate, self.causal = config.heads, config.dropout, config.causal
        self.before_attention, self.before_mlp = nn.LayerNorm(hidden), nn.LayerNorm(hidden)
        self.qkv, self.merge = nn.Linear(hidden, 3 * hidden), nn.Linear(hidden, hidden)
        self.mlp = nn.Sequential(nn.Linear(hidden, 4 * hidden), nn.GELU(), nn.Linear(4 * hidden, hidden))
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        q, k, v = self.qkv(self.before_attention(x)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        rate = self.rate if self.training else 0.0
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=rate, is_causal=self.causal)
        x = x + self.dropout(self.merge(mixed.transpose(1, 2).flatten(2)))
        out: Tensor = x + self.dropout(self.mlp(self.before_mlp(x)))
        return out


def positions(n: int, width: int, device: torch.device | None = None) -> Tensor:
    """(n, width) sinusoids: column pairs are sin and cos of place / 10000^(2i / width). Vaswani et al., 2017, §3.5."""
    rate = torch.exp(torch.arange(0, width, 2, device=device) * (-math.log(10000.0) / width))
    angle = torch.arange(n, device=device)[:, None] * rate
    return torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1)


def normalised(values: Tensor, observed: Tensor, by: str) -> Tensor:
    """Each window and channel without its last observed value ("last"), or (x − mean) / sqrt(variance + 0.01) over its observed
    steps ("window"); zero where nothing was observed. (batch, channel, time) -> the same."""
    if by == "none":
        return values
    seen = observed.to(values.dtype)
    if by == "last":
        newest = observed.shape[2] - 1 - observed.flip(2).to(torch.uint8).argmax(dim=2, keepdim=True)
        return (values - values.gather(2, newest)) * seen
    number = seen.sum(dim=2, keepdim=True).clamp(min=1)
    mean = (values * seen).sum(dim=2, keepdim=True) / number
    deviation = (((values - mean) * seen).square().sum(dim=2, keepdim=True) / number + FLOOR).sqrt()
    return (values - mean) * seen / deviation


def flat(tokens: Tensor, inside: Tensor, places: int) -> Tensor:
    """Tokens of patches one after another, those of a shorter series in the last places and zeros in the first:
    (batch, n, feature), (batch, n) bool -> (batch, places * feature). What ends the window has one place, however long it is."""
    patch = torch.arange(places, device=tokens.device) - (places - inside.sum(dim=1))[:, None]
    rows = _take(tokens, patch.clamp(min=0)) * (patch >= 0)[:, :, None].to(tokens.dtype)
    return rows.flatten(1)


def span(extent: Tensor) -> tuple[Tensor, Tensor]:
    """(batch, time) bool -> the first step inside and the number of steps inside, both (batch,) int64."""
    return extent.to(torch.uint8).argmax(dim=1), extent.sum(dim=1)


def justify(x: Tensor, begin: Tensor, count: Tensor, width: int) -> Tensor:
    """(batch, channel, time) -> (batch, channel, width): each row moved so that its extent begins at column 0, with
    zeros after it. So where a series lies in its padding cannot change a result."""
    time = torch.arange(width, device=x.device)
    if width == x.shape[2] and bool((count == width).all()):
        return x
    index = (begin[:, None] + time).clamp(max=x.shape[2] - 1)
    return x.gather(2, index[:, None].expand(-1, x.shape[1], -1)) * (time < count[:, None])[:, None].to(x.dtype)


def restore(steps: Tensor, begin: Tensor, extent: Tensor) -> Tensor:
    """Undoes `justify`: (batch, feature, width) -> (batch, feature, time), zero outside the extent."""
    if steps.shape[2] == extent.shape[1] and bool(extent.all()):
        return steps
    index = (torch.arange(extent.shape[1], device=steps.device) - begin[:, None]).clamp(0, steps.shape[2] - 1)
    return steps.gather(2, index[:, None].expand(-1, steps.shape[1], -1)) * extent[:, None].to(steps.dtype)


def _take(tokens: Tensor, index: Tensor) -> Tensor:
    """(batch, n, hidden), (batch, time) -> (batch, time, hidden)"""
    batch, n, hidden = tokens.shape
    place = index + n * torch.arange(batch, device=index.device)[:, None]
    return tokens.flatten(0, 1).index_select(0, place.flatten()).view(batch, index.shape[1], hidden)
