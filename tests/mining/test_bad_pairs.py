"""Dynamic bad-pair mining: the memory, the thresholds, the weights, and that a host is untouched until it has something to say."""

import runpy
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import tsrep
from tsrep.fitting import build, mined
from tsrep.memory import Seen, Step
from tsrep.method import Method
from tsrep.mining.bad_pairs import FAULTY, GOOD, NOISY, BadPairs, Memory, reliability, spread_of
from tsrep.pairs import Alone
from tsrep.preparing import prepare
from tsrep.series import STREAM, Embedding, Series
from tsrep.training import Training, train

reference = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "reference" / "bad_pairs.py")))
HOSTS = {
    "simclr": {"name": "simclr", "projection": 8},
    "ts2vec": {"name": "ts2vec"},
    "autotcl": {"name": "autotcl", "hidden": 6, "features": 4, "segments": 5},
}
ENCODER = {"name": "dilated", "hidden": 8, "depth": 3, "features": 12, "dropout": 0.0}


def memory(n: int, **settings: Any) -> Memory:
    return Memory(n, BadPairs(**settings)).double().train()


def live(memory: Memory, losses: Sequence[float] | Tensor, rows: Tensor | None = None) -> None:
    """One epoch in batches of at most seven."""
    losses = torch.as_tensor(losses, dtype=torch.float64)
    rows = torch.arange(len(losses)) if rows is None else rows
    for some in rows.split(7):
        seen = Seen(some, losses[some], torch.ones(len(some), dtype=torch.float64), ())
        memory.after_step(Step("contrast", {}, {}, {"instance": seen}, Alone()))
    memory.after_epoch(1)


def example() -> Tensor:
    """98 losses evenly spaced in [.9, 1.1], one of .1 and one of 3."""
    return torch.cat([torch.linspace(0.9, 1.1, 98, dtype=torch.float64), torch.tensor([0.1, 3.0]).double()])


# --- thresholds and weights ---------------------------------------------------------------------------------------


def test_golden_values_of_the_published_thresholds_and_density() -> None:
    held = memory(100, spread="gaussian", transform="density", warmup=1)
    live(held, example())
    assert float(held.middle) == pytest.approx(1.0110, abs=1e-4)
    assert held.spread.tolist() == pytest.approx([0.22767] * 2, abs=1e-5)
    assert held.thresholds() == pytest.approx((0.55567, 1.69400), abs=1e-5)
    assert held.kind.tolist() == [GOOD] * 98 + [NOISY, FAULTY]
    weight = held(example(), torch.arange(100))
    assert weight[98] == pytest.approx(5.84e-4, rel=1e-3)
    assert weight[99] == pytest.approx(0, abs=1e-12)
    assert held(torch.full((1,), 1.0110, dtype=torch.float64), torch.tensor([99])).item() == pytest.approx(
        1.7523, abs=1e-4
    )


def test_the_published_objective_equals_the_slow_loops() -> None:
    rng = np.random.default_rng(0)
    history = (1 + 0.05 * rng.standard_normal((5, 40))).tolist()
    for epoch in history:
        epoch[3], epoch[8] = 0.2, 2.5
    now = (1 + 0.05 * rng.standard_normal(40)).tolist()
    held = memory(40, spread="gaussian", transform="density", warmup=0)
    for epoch in history:
        live(held, epoch)
    losses = torch.tensor(now, dtype=torch.float64)
    weighed = (held(losses, torch.arange(40)) * losses).mean()
    kinds, middle, spread = reference.flags(history, 2, 3)
    assert kinds[8] == "faulty" and kinds.count("good") == 38 + (kinds[3] == "good")
    assert weighed.item() == pytest.approx(reference.loss(now, history), rel=1e-9)
    assert (float(held.middle), *held.spread.tolist()) == pytest.approx((middle, spread, spread), rel=1e-9)
    assert weighed.item() != pytest.approx(float(np.mean(now)), rel=1e-3)


def test_the_bounded_weight_is_one_at_most_and_the_density_is_not() -> None:
    tight = 1 + 0.01 * (example() - 1)  # σ far below .4
    for transform, least in (("bounded", 0.0), ("density", 1.0)):
        held = memory(100, spread="gaussian", transform=transform, warmup=1)
        live(held, tight)
        weight = held(torch.linspace(0.98, 1.03, 50, dtype=torch.float64), torch.full((50,), 99))
        assert (weight.max() <= 1) == (transform == "bounded")
        assert weight.max() > least
    removing = memory(100, transform="remove", warmup=1)
    live(removing, tight)
    assert removing(tight, torch.arange(100)).tolist() == [1.0] * 98 + [0.0, 0.0]


def test_faulty_pairs_hide_noisy_ones_from_the_gaussian_spread_alone() -> None:
    """Losses as methods.md measured them: clean 3.0, noisy 1.4, faulty 6.9, five of a hundred each."""
    rng = np.random.default_rng(1)
    losses = torch.from_numpy(np.repeat([3.0, 1.4, 6.9], [540, 30, 30]) + 0.05 * rng.standard_normal(600))
    found = {}
    for spread in ("gaussian", "robust"):
        held = memory(600, spread=spread, warmup=1)
        live(held, losses)
        found[spread] = held.kind
    assert (found["gaussian"][540:570] == NOISY).sum() == 0
    assert (found["gaussian"][570:] == FAULTY).all()
    assert (found["robust"][540:570] == NOISY).all() and (found["robust"][570:] == FAULTY).all()
    assert (found["robust"][:540] != GOOD).sum() < 27


def test_the_robust_spread_is_that_of_each_side_of_the_median() -> None:
    """Exponential losses: below the median they crowd, above it they stretch."""
    losses = -torch.log(torch.linspace(0.0005, 0.9995, 1000, dtype=torch.float64))
    middle, (below, above) = spread_of(losses, "robust")
    assert middle == pytest.approx(np.log(2), rel=1e-2)
    assert below == pytest.approx(1.4826 * (np.log(2) - np.log(4 / 3)), rel=1e-2)
    assert above == pytest.approx(1.4826 * (np.log(4) - np.log(2)), rel=1e-2)
    even = torch.linspace(-1, 1, 1001, dtype=torch.float64)
    _, both = spread_of(even, "robust")
    assert both.tolist() == pytest.approx([1.4826 / 2] * 2, rel=1e-2)
    assert spread_of(torch.tensor([float("nan"), 1.0]), "robust")[1].tolist() == [0, 0]


def test_a_side_without_spread_has_no_bad_pairs() -> None:
    """More than half of the lower side lose the same: any distance would be infinitely many deviations."""
    losses = torch.tensor([-1.0, -1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 9.0], dtype=torch.float64)
    held = memory(9, warmup=0)
    live(held, losses)
    assert held.spread[0] == 0 and held.spread[1] > 0
    assert held.kind.tolist() == [GOOD] * 8 + [FAULTY]
    weight = held(losses, torch.arange(9))
    assert weight[:8].tolist() == [1.0] * 8 and 0 <= weight[8] < 0.1
    alike = memory(4, warmup=0)
    live(alike, torch.ones(4))
    assert alike.kind.tolist() == [GOOD] * 4


# --- the memory ---------------------------------------------------------------------------------------------------


def test_a_series_that_an_epoch_left_out_is_not_favoured_for_it() -> None:
    """Losses fall from epoch to epoch; who misses the first one would look better than all others in a plain mean."""
    held = memory(20, warmup=0)
    own = torch.linspace(0, 1, 20, dtype=torch.float64)
    for epoch, level in enumerate((9.0, 5.0, 3.0, 2.0)):
        rows = torch.arange(20) if epoch else torch.tensor([i for i in range(20) if i not in (0, 19)])
        live(held, own + level, rows)
    order = held.mean().argsort()
    assert order.tolist() == list(range(20))
    torch.testing.assert_close(held.mean()[1:19].diff(), own[1:19].diff())


def test_official_memory_is_weighted_by_the_epoch() -> None:
    history = torch.rand(4, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    held = memory(9, compat="official", spread="gaussian", transform="density", warmup=2, epochs=8)
    for epoch in history:
        live(held, epoch)
    expected = reference.official_means(history.tolist(), 8)
    torch.testing.assert_close(held.mean(), torch.tensor(expected, dtype=torch.float64))


def test_official_is_one_word() -> None:
    data = Series.of(torch.zeros(9, 1, 4))
    held = BadPairs(compat="official").build(data).reweigh
    assert isinstance(held, Memory)
    said = held.settings
    assert (said.spread, said.transform, said.warmup) == ("gaussian", "density", 50)
    sooner = BadPairs(compat="official", warmup=3).build(data).reweigh
    assert isinstance(sooner, Memory) and sooner.settings.warmup == 3


def test_a_series_without_a_living_anchor_is_not_remembered() -> None:
    held = memory(4)
    seen = Seen(torch.arange(4), torch.tensor([1.0, 2.0, 0.0, 4.0]), torch.tensor([1.0, 1.0, 0.0, 1.0]), ())
    held.after_step(Step("contrast", {}, {}, {"instance": seen}, Alone()))
    held.after_epoch(1)
    assert held.mean().isnan().tolist() == [False, False, True, False]
    assert held.kind.tolist() == [GOOD] * 4


def test_the_memory_is_as_long_as_the_data_whatever_the_epochs() -> None:
    held = memory(50)
    before = sum(b.numel() for b in held.buffers())
    for _ in range(6):
        live(held, torch.rand(50, dtype=torch.float64))
    assert sum(b.numel() for b in held.buffers()) == before < 8 * 50


# --- the warm-up --------------------------------------------------------------------------------------------------


def test_reliability_is_the_share_of_variance_that_is_of_the_series() -> None:
    """Spearman and Brown: with own variance a and noise b in each of k epochs of a half, r = a / (a + b / k)."""
    rng = np.random.default_rng(2)
    n, k = 20_000, 3
    own = rng.standard_normal(n)
    total = torch.from_numpy(np.stack([(own + 2 * rng.standard_normal((k, n))).sum(0) for _ in range(2)]))
    r = 1 / (1 + 4 / k)
    assert reliability(total, torch.full((2, n), k)).item() == pytest.approx(2 * r / (1 + r), abs=0.02)
    shuffled = torch.stack([total[0], total[1].roll(1)])
    assert reliability(shuffled, torch.full((2, n), k)).item() < 0.05
    apart = torch.from_numpy(rng.standard_normal((2, n)))
    assert reliability(apart, torch.ones(2, n)).item() < 0.05
    assert reliability(torch.stack([apart[0], -apart[0]]), torch.ones(2, n)).item() == 0
    assert reliability(torch.zeros(2, 5), torch.ones(2, 5)).item() == 0


def test_nothing_is_weighed_before_the_memory_repeats_itself() -> None:
    rng = np.random.default_rng(3)
    chance = memory(200)
    for _ in range(8):
        live(chance, 1 + np.abs(rng.standard_normal(200)) ** 3)
    assert not chance.weighs() and chance.kind.eq(GOOD).all()
    own = example().repeat(2)
    telling = memory(200)
    for epoch in range(1, 7):
        live(telling, own + 0.01 * torch.from_numpy(rng.standard_normal(200)))
        assert telling.weighs() == (epoch >= 4)
    assert telling.kind[98:100].tolist() == [NOISY, FAULTY]


# --- on hosts -----------------------------------------------------------------------------------------------------


def windows(n: int = 24, time: int = 32) -> np.ndarray:
    x = np.random.default_rng(4).standard_normal((n, 3, time)).astype(np.float32)
    x[1, :, 20:], x[2, :, :7], x[3, 2, 4:9] = np.nan, np.nan, np.nan
    return x


def made(host: str, settings: Mapping[str, Any] | None, **training: Any) -> tuple[Method, Series, Training]:
    """A host, with mining unless settings is None, on small ragged data."""
    content = {"method": HOSTS[host], "encoder": ENCODER, "training": {"batch_size": 8, "log_every": 1, **training}}
    plan, _ = tsrep.make_plan(content | ({} if settings is None else {"mining": {"bad_pairs": settings}}))
    ready = prepare(tsrep.as_panel(windows()), plan)
    return mined(plan, ready), ready.train, plan.training


def memories(method: Method) -> list[Memory]:
    return [module for module in method.modules() if isinstance(module, Memory)]


@pytest.mark.parametrize("settings", [{"warmup": 99}, {"warmup": 0, "beta_noisy": 1e9, "beta_faulty": 1e9}, {}])
@pytest.mark.parametrize("host", HOSTS)
def test_without_a_bad_pair_a_host_is_the_same_to_the_bit(host: str, settings: dict[str, Any]) -> None:
    alone, data, training = made(host, None, steps=7)
    expected, history = train(alone, data, training)
    with_mining, data, training = made(host, settings, steps=7)
    found, told = train(with_mining, data, training)
    assert history == [
        {name: value for name, value in line.items() if name in lone} for line, lone in zip(told, history, strict=True)
    ]
    assert all(torch.equal(a, b) for a, b in zip(expected.parameters(), found.parameters(), strict=True))
    assert all(memory.count.sum() == 2 * 24 for memory in memories(with_mining))


@pytest.mark.parametrize("host", HOSTS)
def test_every_term_of_a_host_remembers_every_series_once_an_epoch_and_weighs_bad_ones_down(host: str) -> None:
    settings = {"warmup": 2, "beta_noisy": 0.5, "beta_faulty": 0.5, "transform": "remove"}
    method, data, training = made(host, settings, epochs=4)
    train(method, data, training)
    held = memories(method)
    assert len(held) == (2 if host == "autotcl" else 1)
    for memory in held:
        assert int(memory.epoch) == 4
        assert memory.count.sum(0).tolist() == [4] * 24
        assert memory.mean().isfinite().all()
        assert {GOOD, NOISY, FAULTY} == set(memory.kind.tolist())
    plain, _, _ = made(host, None, epochs=4)
    train(plain, data, training)
    ends = zip(method.encoder.parameters(), plain.encoder.parameters(), strict=True)
    assert any(not torch.equal(a, b) for a, b in ends)


@pytest.mark.parametrize("accumulate", [2, 6])
def test_every_series_is_remembered_once_an_epoch_by_steps_that_reach_over_its_end(accumulate: int) -> None:
    """An epoch has three batches: of steps of two batches every second one holds the last of an epoch and the first of the next, a
    step of six holds two epochs."""
    method, data, training = made("simclr", {"warmup": 2}, epochs=4, accumulate=accumulate)
    train(method, data, training)
    (memory,) = memories(method)
    assert int(memory.epoch) == 4
    assert memory.count.tolist() == [[2] * 24] * 2
    assert memory.now.isnan().all()


def test_only_bad_pairs_lose_weight_and_the_weight_carries_no_gradient() -> None:
    """SimCLR's loss is the mean over pairs: with weights w held constant it is mean_i w_i L_i, L_i what the host's pair loses."""
    method, data, _ = made("simclr", {"warmup": 0})
    (memory,) = memories(method)
    memory.kind[5], memory.kind[9] = FAULTY, NOISY
    memory.middle.fill_(1.0), memory.spread.copy_(torch.tensor([0.5, 2.0]))
    (phase,) = method.phases
    (term,) = phase.terms.values()
    views = method.view({STREAM: data}, torch.Generator().manual_seed(0))
    embeddings = method.embed(views)
    leaves = {name: embedding.pooled.detach().requires_grad_() for name, embedding in embeddings.items()}
    embeddings = {name: Embedding(e.steps, leaves[name], e.series) for name, e in embeddings.items()}
    found, _, _ = method.loss(phase, views, embeddings, Alone())

    (pairs,) = term.pairing(embeddings, Alone())
    losses = term.loss(pairs).view(2, len(data)).mean(0)
    weight = torch.ones(len(data))
    for row, spread in ((5, 2.0), (9, 0.5)):
        weight[row] = torch.exp(-0.5 * ((losses[row].detach() - 1.0) / spread) ** 2)
    assert (weight < 0.9).sum() == 2 and weight.min() > 0
    expected = (weight * losses).mean()
    torch.testing.assert_close(found, expected)
    gradients, theirs = (torch.autograd.grad(loss, [*leaves.values()]) for loss in (found, expected))
    torch.testing.assert_close(gradients, theirs)
    assert all(gradient.abs().sum(1).gt(0).all() for gradient in gradients)

    method.eval()  # in evaluation nothing is weighed
    torch.testing.assert_close(method.loss(phase, views, embeddings, Alone())[0], losses.mean())


def test_a_run_that_is_stopped_and_resumed_equals_one_that_was_not(tmp_path: Path) -> None:
    settings = {"warmup": 1, "beta_noisy": 0.5, "beta_faulty": 0.5}
    whole, data, training = made("ts2vec", settings, steps=11)
    train(whole, data, training)
    begun, _, _ = made("ts2vec", settings, steps=11, checkpoint_every=5)
    looks = iter([False] * 6 + [True])
    with pytest.raises(tsrep.Interrupted):
        train(begun, data, training, directory=tmp_path, stopping=lambda: next(looks))
    resumed, _, _ = made("ts2vec", settings, steps=11)
    train(resumed, data, training, resume=tmp_path / "checkpoint.safetensors")
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor.nan_to_num(), resumed.state_dict()[name].nan_to_num()), name
    (memory,) = memories(whole)
    assert memory.kind.ne(GOOD).any()


def test_mining_a_method_that_learns_from_no_pairs_is_refused() -> None:
    plan, _ = tsrep.make_plan({"encoder": ENCODER, "mining": "bad_pairs"})
    ready = prepare(tsrep.as_panel(windows()), plan)
    method = build(plan, ready.shape)
    bare = Method("bare", method.view, method.encoder, (tsrep.Phase("contrast", (method.encoder,), {"x": len}),))  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="'bare' has none to mine"):
        bare.mined([BadPairs()], ready.train)
