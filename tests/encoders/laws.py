"""Two laws of the house, for an encoder of three channels in float64: padding changes nothing, a batch is its series one by one."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from tsrep.series import Series

CHANNELS, NAN = 3, float("nan")


def rows(n: int, time: int) -> Tensor:
    return torch.randn(n, CHANNELS, time, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def close(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


@torch.no_grad()
def padding_changes_nothing(encoder: nn.Module, left: int, right: int) -> None:
    x = rows(3, 13)
    x[0, :, 4], x[1, 2, 3:8] = NAN, NAN
    bare = encoder(Series.of(x))
    padded = encoder(Series.of(functional.pad(x, (left, right), value=NAN)))
    close(padded.pooled, bare.pooled)
    close(padded.steps[:, :, left : left + 13], bare.steps)
    assert (padded.steps[:, :, :left] == 0).all() and (padded.steps[:, :, left + 13 :] == 0).all()
    assert bare.pooled.std(0).max() > 1e-4


@torch.no_grad()
def a_batch_is_one_by_one(encoder: nn.Module, time: int = 40) -> None:
    """Down to a single step."""
    x = rows(5, time)
    spans = [(0, time), (0, 1), (6, 9), (3, time // 2 + 1), (time - 1, time)]
    for row, (begin, end) in enumerate(spans):
        x[row, :, :begin], x[row, :, end:] = NAN, NAN
    together = encoder(Series.of(x))
    for row, (begin, end) in enumerate(spans):
        alone = encoder(Series.of(x[row : row + 1, :, begin:end]))
        close(together.pooled[row], alone.pooled[0])
        close(together.steps[row, :, begin:end], alone.steps[0])
