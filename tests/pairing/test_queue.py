"""The queue: what repels whom while it fills and once it is full, who enters and who leaves."""

import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from tsrep.losses import info_nce
from tsrep.memory import Step
from tsrep.pairing.queue import Queue
from tsrep.pairs import Alone, Pairs
from tsrep.series import Embedding, Series

slow = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "reference" / "moco.py")))
TAU, FEATURES = 0.3, 5


def rows(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def batch(row: list[int], q: Tensor, k: Tensor, absent: tuple[int, ...] = ()) -> dict[str, Embedding]:
    """Embeddings of queries and keys; of the absent ones (places in the batch) no key was recorded."""
    values = torch.ones(len(row), 1, 2)
    series = Series.of(values, row=torch.tensor(row))
    values[list(absent)] = float("nan")
    keys = Series.of(values, row=torch.tensor(row))
    return {"left": Embedding(q[..., None], q, series), "right": Embedding(k[..., None], k, keys)}


def told(given: dict[str, Embedding], phase: str = "contrast") -> Step:
    bare = {name: replace(e, pooled=e.pooled.detach()) for name, e in given.items()}
    return Step(phase, {}, bare, {}, Alone())


def queue_of(size: int, *batches: list[int]) -> tuple[Queue, list[tuple[int, Tensor]]]:
    """A queue, and the slow one, after batches of series."""
    queue, expected = Queue(size, FEATURES, TAU).double(), []
    for seed, row in enumerate(batches, start=10):
        keys = rows(len(row), FEATURES, seed=seed)
        queue.after_step(told(batch(row, keys, keys)))
        expected = slow.entered(expected, row, keys, size)
    return queue, expected


def pairs_of(queue: Queue, given: dict[str, Embedding]) -> Pairs:
    (pairs,) = queue(given, Alone())
    return pairs


FILLED = {
    "one batch": [[0, 1, 2]],
    "with keys of the queries' own series": [[3, 4, 5], [6, 7, 8]],
    "full, and over its end": [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]],
    "a batch larger than the queue": [list(range(11))],
}


@pytest.mark.parametrize("before", FILLED)
def test_the_loss_equals_the_slow_loop_in_value_and_gradient(before: str) -> None:
    queue, expected = queue_of(8, *FILLED[before])
    row = [4, 20, 6, 21]
    found = []
    for fast in (True, False):
        q, k = rows(4, FEATURES, seed=1).requires_grad_(), rows(4, FEATURES, seed=2).requires_grad_()
        if fast:
            pairs = pairs_of(queue, batch(row, q, k))
            value = (info_nce(pairs) * pairs.weight).sum()
        else:
            value = slow.loss(q, k, expected, row, 8, TAU)
        to_query, to_key = torch.autograd.grad(value, [q, k], allow_unused=True)
        assert to_key is None, "no gradient reaches a key"
        found.append((value.detach(), to_query))
    assert found[1][1].abs().max() > 1e-2
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("before", FILLED)
def test_the_newest_keys_stay_and_the_oldest_leave(before: str) -> None:
    queue, expected = queue_of(8, *FILLED[before])
    newest_first = expected[::-1]
    for most in (3, 8, 100):
        assert torch.allclose(queue.newest(most), torch.stack([key for _, key in newest_first[:most]]))
    there = queue.who >= 0
    assert sorted(queue.who[there].tolist()) == sorted(row for row, _ in expected)
    assert int(queue.entered) == sum(map(len, FILLED[before]))
    torch.testing.assert_close(queue.keys[there].norm(dim=1), torch.ones(int(there.sum()), dtype=torch.float64))
    assert queue.newest(0).shape == (0, FEATURES)


def test_the_loss_does_not_change_the_queue_and_its_keys_enter_afterwards() -> None:
    queue, _ = queue_of(8, [0, 1, 2])
    before = {name: tensor.clone() for name, tensor in queue.state_dict().items()}
    given = batch([5, 6], rows(2, FEATURES), rows(2, FEATURES, seed=1))
    first = info_nce(pairs_of(queue, given))
    assert torch.equal(first, info_nce(pairs_of(queue, given)))
    assert all(torch.equal(before[name], tensor) for name, tensor in queue.state_dict().items())
    queue.after_step(told(given, phase="augment"))
    assert all(torch.equal(before[name], tensor) for name, tensor in queue.state_dict().items()), "another phase"
    queue.after_step(told(given))
    torch.testing.assert_close(queue.newest(2), normalize(given["right"].pooled, dim=1).flip(0))


def test_in_an_empty_queue_nothing_repels_and_no_anchor_counts() -> None:
    pairs = pairs_of(queue_of(8)[0], batch([0, 1], rows(2, FEATURES), rows(2, FEATURES, seed=1)))
    assert not pairs.repel.any() and not pairs.weight.any()
    assert not info_nce(pairs).any()


def test_places_without_a_key_have_no_mass_and_the_others_theirs() -> None:
    queue, _ = queue_of(8, [0, 1, 2])
    pairs = pairs_of(queue, batch([0, 7], rows(2, FEATURES), rows(2, FEATURES, seed=1)))
    assert pairs.repel.shape == (2, 10)
    share = 8 / 3
    expected = torch.tensor([[0, 0, 0, share, share], [0, 0, share, share, share]], dtype=torch.float64)
    torch.testing.assert_close(pairs.repel[:, :5], expected)
    assert not pairs.repel[:, 5:].any()
    assert pairs.attract.tolist() == torch.eye(2, 10).tolist()
    assert pairs.who is not None and pairs.who.tolist() == [0, 7, 0, 1, 2, *[-1] * 5]


def test_pairs_say_what_miners_ask_for() -> None:
    queue, _ = queue_of(4, [0, 1, 2], [3, 4, 5])
    pairs = pairs_of(queue, batch([0, 7], rows(2, FEATURES), rows(2, FEATURES, seed=1)))
    assert pairs.points is not None and pairs.floor == -1 / TAU
    torch.testing.assert_close(pairs.points[0] @ pairs.points[1].T, pairs.score)
    assert pairs.score.abs().max() <= 1 / TAU
    assert pairs.row.tolist() == [0, 7]
    assert float(pairs.weight.sum()) == 1.0


def test_series_of_validation_have_no_keys_in_the_queue() -> None:
    """Their rows are places in another data set."""
    queue, _ = queue_of(4, [0, 1, 2, 3])
    given = batch([0, 7], rows(2, FEATURES), rows(2, FEATURES, seed=1))
    assert (pairs_of(queue, given).repel > 0).sum() == 7
    assert (pairs_of(queue.eval(), given).repel > 0).sum() == 8


def test_a_series_of_which_one_view_shows_nothing_takes_no_part() -> None:
    q, k = rows(3, FEATURES), rows(3, FEATURES, seed=1)
    queue, _ = queue_of(4, [7, 8])
    whole = batch([0, 1, 2], q, k, absent=(1,))
    without = batch([0, 2], q[[0, 2]], k[[0, 2]])
    all_, some = pairs_of(queue, whole), pairs_of(queue, without)
    assert all_.weight.tolist() == [0.5, 0.0, 0.5]
    torch.testing.assert_close((info_nce(all_) * all_.weight).sum(), (info_nce(some) * some.weight).sum())
    other, _ = queue_of(4, [7, 8])
    queue.after_step(told(whole)), other.after_step(told(without))
    assert all(torch.equal(other.state_dict()[name], tensor) for name, tensor in queue.state_dict().items())
