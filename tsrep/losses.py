"""Pairs -> one loss per anchor. Pure functions; the formula stands beside each, with its source.

Notation: s_ij score (already divided by the temperature), a_ij mass of attraction, r_ij mass of repulsion.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from tsrep.pairs import AnyPairs, Loss, Pairs, Twins
from tsrep.series import full


def info_nce(pairs: AnyPairs) -> Tensor:
    """log Σ_j (a_ij + r_ij) e^{s_ij} − log Σ_j a_ij e^{s_ij}, one value per anchor.

    With one positive it is InfoNCE (van den Oord et al. 2018, arXiv:1807.03748); with the pool of both views as candidates
    it is NT-Xent (Chen et al. 2020, arXiv:2002.05709). `Twins` take the fused path below: same values, same gradients.
    """
    if isinstance(pairs, Twins):
        return _fused_info_nce(pairs)
    score = full(pairs.score)
    attract = _some(pairs.attract)
    return torch.logsumexp(score + _log(attract + pairs.repel), -1) - torch.logsumexp(score + _log(attract), -1)


def supcon(pairs: AnyPairs) -> Tensor:
    """log Σ_j (a_ij + r_ij) e^{s_ij} − Σ_j a_ij s_ij / Σ_j a_ij: the mean over positives stands outside the log.

    Khosla et al. 2020, arXiv:2004.11362, eq. 2.
    """
    dense = pairs.dense()
    score, attract = full(dense.score), _some(dense.attract)
    share = attract / attract.sum(-1, keepdim=True)
    return torch.logsumexp(score + _log(attract + dense.repel), -1) - (share * score).sum(-1)


def decoupled(pairs: AnyPairs, sharpness: float | None = None) -> Tensor:
    """log Σ_j r_ij e^{s_ij} − w_i p_i: the positive p_i is no part of the denominator.

    Yeh et al. 2022, arXiv:2110.06848, eq. 5. `sharpness` σ weighs the positive by w_i = 2 − n·softmax_i(p_i / σ) with the softmax
    over the anchors of each of the two views and p_i free of the temperature (the "DCLW" of the paper, eq. 6, σ = .5);
    then `sharpness` must be given divided by the temperature, as the score is. None: w_i = 1. May be negative. An anchor that
    has nothing to repel is attracted alone: its first term is zero.
    """
    dense = pairs.dense()
    score = full(dense.score)
    positive = _positive(score, dense)
    weight = 1.0 if sharpness is None else 2.0 - _softmax_of_views(positive.detach() / sharpness)
    negatives, crowded = _negative(score, dense)
    return torch.where(crowded, negatives, 0.0) - weight * positive


def debiased(pairs: AnyPairs, prior: float = 0.1) -> Tensor:
    """−log e^{p_i} / (e^{p_i} + G_i), G_i = max{(Σ_j r_ij e^{s_ij} − τ⁺ N e^{p_i}) / (1 − τ⁺), N e^{floor}}, N = Σ_j r_ij.

    Chuang et al. 2020, arXiv:2007.00224, eq. 8. A share `prior` (τ⁺) of the negatives is taken to be of the anchor's own
    class. N e^{floor} is the least sum that N negatives can have, by `pairs.floor`: N e^{−1/t} for cosines over a temperature t.
    Where scores have no floor that sum is zero, and an anchor whose negatives are used up by its positive loses nothing.
    Computed in logs. An anchor that has nothing to repel loses nothing.
    """
    dense = pairs.dense()
    score = full(dense.score)
    positive = _positive(score, dense)
    negatives, crowded = _negative(score, dense)
    count = torch.where(crowded, dense.repel.sum(-1), 1.0)
    floor = count.log() + (-math.inf if dense.floor is None else dense.floor)
    if prior > 0:
        share = math.log(prior) + count.log() + positive - negatives  # log of what is subtracted, as a share
        ratio = torch.exp(share.clamp(max=0.0)).clamp(max=1.0 - torch.finfo(score.dtype).eps)
        left = torch.log1p(-ratio) + negatives - math.log1p(-prior)
        negatives = torch.where(share < 0.0, left, torch.full_like(left, float("-inf")))
    return torch.where(crowded, torch.logaddexp(positive, torch.maximum(negatives, floor)) - positive, 0.0)


def soft(pairs: AnyPairs) -> Tensor:
    """Σ_j a_ij (log Σ_k (a_ik + r_ik) e^{s_ik} − s_ij): every candidate is a positive as far as it attracts.

    Lee et al. 2024, arXiv:2312.16424, eqs. 2 and 4. With one whole positive it is InfoNCE. Masses of attraction are not shares: an
    anchor that more attracts loses more.
    """
    dense = pairs.dense()
    score = full(dense.score)
    whole = torch.logsumexp(score + _log(_some(dense.attract + dense.repel)), -1)
    return (dense.attract * (whole[..., None] - score)).sum(-1)


def sigmoid(pairs: AnyPairs, bias: float = -10.0) -> Tensor:
    """−Σ_j [a_ij log σ(s_ij + b) + r_ij log σ(−s_ij − b)]: every pair is its own yes or no, no sum over the batch.

    Zhai et al. 2023, arXiv:2303.15343, algorithm 1 (start with a temperature of .1 and b = −10).
    """
    dense = pairs.dense()
    logit = full(dense.score) + bias
    log_sigmoid = torch.nn.functional.logsigmoid
    return -(dense.attract * log_sigmoid(logit) + dense.repel * log_sigmoid(-logit)).sum(-1)


def dhel(pairs: AnyPairs) -> Tensor:
    """M log Σ_j r_lj e^{s_lj} − log Σ_j a_lj e^{s_lj} for each of the M groups l, the views in which the anchor has weight.

    With the pairs of `MVDHEL` the mean over the views is MV-DHEL, Σ_l log Σ_j r_lj e^{s_lj} − log Σ_{l<m} e^{u^l·u^m/τ}.
    Koromilas et al. 2025, arXiv:2507.06979. May be negative. A view in which nothing repels is attracted alone.
    """
    dense = pairs.dense()
    score = full(dense.score)
    negatives, crowded = _negative(score, dense)
    views = (dense.weight > 0).sum(0, keepdim=True)
    return views * torch.where(crowded, negatives, 0.0) - _positive(score, dense)


LOSSES: Mapping[str, Loss] = {
    "info_nce": info_nce,
    "supcon": supcon,
    "decoupled": decoupled,
    "debiased": debiased,
    "soft": soft,
    "sigmoid": sigmoid,
}


def _some(attract: Tensor) -> Tensor:
    """An anchor without any positive gets mass one everywhere: its loss is finite, its weight is zero anyway."""
    return torch.where((attract > 0).any(-1, keepdim=True), attract, torch.ones_like(attract))


def _log(mass: Tensor) -> Tensor:
    """log of a mass, −inf where it is zero, without the infinite gradient that log(0) would send back."""
    here = mass > 0
    return torch.where(here, torch.where(here, mass, torch.ones_like(mass)).log(), float("-inf"))


def _positive(score: Tensor, pairs: Pairs) -> Tensor:
    """log Σ_j a_ij e^{s_ij}: the score of the positive where there is one."""
    return torch.logsumexp(score + _log(_some(pairs.attract)), -1)


def _negative(score: Tensor, pairs: Pairs) -> tuple[Tensor, Tensor]:
    """log Σ_j r_ij e^{s_ij}, and for which anchors that is a sum over anything; elsewhere it is finite and means nothing."""
    crowded = (pairs.repel > 0).any(-1).expand(score.shape[:-1])
    repel = torch.where(crowded[..., None], pairs.repel, torch.ones_like(score))
    return torch.logsumexp(score + _log(repel), -1), crowded


def _softmax_of_views(score: Tensor) -> Tensor:
    """n · softmax over the n anchors of each view; the anchors are the two views, one after the other."""
    halves = score.unflatten(-1, (2, -1))
    whole: Tensor = (halves.softmax(-1) * halves.shape[-1]).flatten(-2)
    return whole


# --- the fused path -----------------------------------------------------------------------------------------------

BLOCK = 2**21
"""Scores that are worked on at a time. Eight megabytes stay in the cache between the passes over them."""


def _fused_info_nce(pairs: Twins) -> Tensor:
    pool = full(pairs.pool)
    others = None if pairs.others is None else full(pairs.others)
    itself, positive = pairs.positions()
    loss: Tensor = _TwinContrast.apply(pool, others, itself, positive, pairs.alive)
    return loss


class _TwinContrast(torch.autograd.Function):
    """loss_i = log Σ_{j≠i} e^{s_ij} − s_{i,pos(i)}, s = z zᵀ.

    With p_ij = e^{s_ij} / Σ e^{s_ik} and upstream gradient g_i the gradient of the scores is W_ij = g_i (p_ij − [j = pos(i)]).
    When the anchors are the candidates, s is symmetric and ∂z = (W + Wᵀ) z: one product. Otherwise ∂anchors = W c and
    ∂candidates = Wᵀ a. One matrix is kept.
    """

    @staticmethod
    def forward(
        ctx: Any, pool: Tensor, others: Tensor | None, itself: Tensor, positive: Tensor, alive: Tensor | None
    ) -> Tensor:
        group = pool.shape[:-2]
        anchors = pool.reshape(-1, *pool.shape[-2:])
        candidates = anchors if others is None else others.reshape(-1, *others.shape[-2:])
        n, m = anchors.shape[1], candidates.shape[1]
        dead = None if alive is None else ~alive.reshape(-1, m // 2).repeat(1, 2)
        line = torch.arange(n, device=pool.device)
        raised = pool.new_empty(anchors.shape[0], n, m)  # e^{s − top}, the one matrix that is kept
        total = pool.new_empty(anchors.shape[0], n)
        loss = pool.new_empty(anchors.shape[0], n)
        for block in _blocks(raised.shape):
            score = torch.bmm(anchors[block], candidates[block].mT, out=raised[block])
            toward = score[:, line, positive]
            score[:, line, itself] = float("-inf")
            if dead is not None:
                score.masked_fill_(dead[block, None, :], float("-inf"))
            top = score.amax(-1)
            if dead is not None:
                top.clamp_(min=torch.finfo(top.dtype).min)  # a group with nobody alive
            torch.sum(score.sub_(top[..., None]).exp_(), -1, out=total[block])
            if dead is not None:
                total[block].clamp_(min=torch.finfo(total.dtype).tiny)
            loss[block] = total[block].log().add_(top).sub_(toward)
        gone = None
        if dead is not None:
            gone = dead[:, itself]
            loss.masked_fill_(gone, 0.0)
        ctx.save_for_backward(pool, others, raised, total, positive, gone)
        return loss.reshape(*group, n)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, Tensor | None, None, None, None]:
        pool, others, raised, total, positive, gone = ctx.saved_tensors
        anchors = pool.reshape(-1, *pool.shape[-2:])
        candidates = None if others is None else others.reshape(-1, *others.shape[-2:])
        upstream = upstream.reshape(total.shape)
        if gone is not None:
            upstream = upstream.masked_fill(gone, 0.0)
        line = torch.arange(total.shape[1], device=pool.device)
        to_anchors = torch.empty_like(anchors)
        to_candidates = None if candidates is None else torch.empty_like(candidates)
        for block in _blocks(raised.shape):
            pull = raised[block] * (upstream[block] / total[block])[:, :, None]
            pull[:, line, positive] -= upstream[block]
            if candidates is None or to_candidates is None:
                to_anchors[block] = torch.bmm(pull + pull.mT, anchors[block])
            else:
                to_anchors[block] = torch.bmm(pull, candidates[block])
                to_candidates[block] = torch.bmm(pull.mT, anchors[block])
        return (
            to_anchors.reshape(pool.shape),
            None if to_candidates is None or others is None else to_candidates.reshape(others.shape),
            None,
            None,
            None,
        )


def _blocks(shape: torch.Size) -> list[slice]:
    """Slices of the first axis that hold about BLOCK scores each."""
    step = max(1, BLOCK // (shape[1] * shape[2]))
    return [slice(begin, min(begin + step, shape[0])) for begin in range(0, shape[0], step)]
