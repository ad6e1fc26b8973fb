"""The whole of distribution: gather what other workers hold, add up gradients, agree on a word.

Every worker computes its own share of one global loss (the weights of `Pairs` sum to one over all workers), so gradients are
summed, never averaged, and N workers do what one process does on the joined batch.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import Parameter

from tsrep.pairs import Alone, Gather


@dataclass(frozen=True)
class World:
    """Who takes part. The plain `World()` is one process that speaks to nobody.

    rank: this worker. size: how many there are.
    """

    rank: int = 0
    size: int = 1

    @staticmethod
    def current() -> World:
        """The world of the process group that was started, by Ray Train or by torchrun, or one process."""
        if dist.is_available() and dist.is_initialized():
            return World(dist.get_rank(), dist.get_world_size())
        return World()

    def share(self, n: int) -> slice:
        """The rows of a joined batch of n that are this worker's: equal to within one."""
        return slice(n * self.rank // self.size, n * (self.rank + 1) // self.size)

    def gather(self, n: int) -> Gather:
        """Gather for a joined batch of n."""
        return Alone() if self.size == 1 else Joined(self, n)

    def sum_gradients(self, parameters: Iterable[Parameter]) -> None:
        """Add up the gradients of all workers, in one message.

        A parameter unused here may be used elsewhere; one that nobody used keeps no gradient, so that its weight does not decay.
        """
        if self.size == 1:
            return
        parameters = [p for p in parameters if p.requires_grad]
        parts = [(torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1) for p in parameters]
        used = parts[0].new_tensor([p.grad is not None for p in parameters])
        flat = torch.cat([*parts, used])
        dist.all_reduce(flat)
        *grads, users = flat.split([*(p.numel() for p in parameters), len(parameters)])
        for parameter, grad, count in zip(parameters, grads, users.tolist(), strict=True):
            parameter.grad = grad.view_as(parameter) if count else None

    def sum(self, value: Tensor) -> Tensor:
        """Sum over the workers, without gradient."""
        if self.size == 1:
            return value.detach()
        total = value.detach().clone()
        dist.all_reduce(total)
        return total

    def any(self, flag: bool) -> bool:
        """True on all workers when it is true on one."""
        return flag if self.size == 1 else bool(self.sum(torch.tensor(float(flag))) > 0)

    def barrier(self) -> None:
        if self.size > 1:
            dist.barrier()


@dataclass(frozen=True)
class Joined:
    """Gather of many workers, for a joined batch of n rows that `World.share` deals out."""

    world: World
    n: int

    def __call__(self, mine: Tensor) -> Tensor:
        sizes = [len(range(self.n)[World(r, self.world.size).share(self.n)]) for r in range(self.world.size)]
        joined: Tensor = _AllGather.apply(mine, sizes, self.world.rank)
        return joined

    def place(self, n: int) -> tuple[int, int]:
        return self.world.share(self.n).start, self.n


class _AllGather(torch.autograd.Function):
    """All workers' rows, in order. Backward sums over the workers what each of them sends back to my rows."""

    @staticmethod
    def forward(ctx: Any, mine: Tensor, sizes: list[int], rank: int) -> Tensor:
        if mine.shape[0] != sizes[rank]:
            raise ValueError(f"expected {sizes[rank]} rows on worker {rank}, got {mine.shape[0]}")
        ctx.sizes, ctx.rank = sizes, rank
        kind = mine.dtype
        sent = mine.to(torch.uint8) if kind == torch.bool else mine
        widest = max(sizes)  # gloo wants tensors of one size
        if mine.shape[0] < widest:
            sent = torch.cat([sent, sent.new_zeros(widest - mine.shape[0], *mine.shape[1:])])
        parts = [torch.empty_like(sent) for _ in sizes]
        dist.all_gather(parts, sent.contiguous())
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)]).to(kind)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None]:
        total = upstream.contiguous().clone()
        dist.all_reduce(total)
        begin = sum(ctx.sizes[: ctx.rank])
        return total[begin : begin + ctx.sizes[ctx.rank]], None, None
