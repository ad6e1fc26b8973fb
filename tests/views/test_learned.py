"""The learned view: the gate has the probability it claims, nothing is lost but what is masked, and padding changes nothing."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from tsrep.errors import InputError
from tsrep.series import STREAM, Series
from tsrep.views import stem
from tsrep.views.gate import HardConcrete
from tsrep.views.learned import LIMIT, Learned, bounded, gates
from tsrep.views.mask import TimestampMask

GATE = HardConcrete()
CHANNELS, FLOOR = 3, 0.05


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rows(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def view_of(
    gate: HardConcrete | None = GATE, floor: float | None = FLOOR, hide: float = 0.5, per_channel: bool = False
) -> Learned:
    """With heads that differ from step to step: some gates are open, some shut."""
    torch.manual_seed(0)
    made = Learned(
        CHANNELS,
        gate=gate,
        floor=floor,
        hide=TimestampMask(hide),
        hidden=8,
        depth=2,
        features=6,
        per_channel=per_channel,
    ).double()
    for head in (made.odds, made.factor):
        if head is not None:
            torch.nn.init.normal_(head.weight, std=60.0)
            torch.nn.init.zeros_(head.bias)
    return made


def ragged() -> Series:
    x = rows(6, CHANNELS, 40)
    x[1, :, 25:], x[2, :, :12], x[3, 2, 4:9], x[4, :, 5] = [float("nan")] * 4
    return replace(Series.of(x, torch.arange(6) + 100, rows(6, 40)), start=torch.arange(6))


# --- the gate -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("temperature", "open_", "printed"), [(1.0, 0.900, 0.900), (2 / 3, 0.765, 0.812)])
def test_a_gate_opens_as_often_as_the_closed_form_says(temperature: float, open_: float, printed: float) -> None:
    """The form that the paper prints is another one for τ ≠ 1."""
    gate = HardConcrete(temperature, -0.05, 1.05)
    odds = torch.tensor(math.log(0.3 / 0.7), dtype=torch.float64)
    drawn = torch.rand(2_000_000, generator=seeded(), dtype=torch.float64)
    share = (gate.sample(odds.expand_as(drawn), drawn) > 0).double().mean().item()
    assert gate.opening(odds).item() == pytest.approx(share, abs=1e-3)
    assert share == pytest.approx(open_, abs=1e-3)
    wrong = 1 - torch.sigmoid(temperature * (math.log(0.05 / 1.05) + math.log(0.7 / 0.3)) * torch.ones(())).item()
    assert wrong == pytest.approx(printed, abs=1e-3)


def test_gates_are_between_zero_and_one_and_reach_both_ends() -> None:
    drawn = GATE.sample(torch.zeros(10_000), torch.rand(10_000, generator=seeded()))
    assert drawn.min() == 0 and drawn.max() == 1
    assert 0.1 < ((drawn > 0) & (drawn < 1)).float().mean() < 0.9


def test_noise_of_zero_and_one_is_finite() -> None:
    odds = torch.zeros(2, requires_grad=True)
    drawn = GATE.sample(odds, torch.tensor([0.0, 1.0]))
    assert drawn.tolist() == [0, 1]
    drawn.sum().backward()
    assert odds.grad is not None and odds.grad.isfinite().all()


def test_without_noise_the_noise_is_one_half() -> None:
    odds = rows(50)
    assert torch.equal(GATE.sample(odds, None), GATE.sample(odds, torch.full_like(odds, 0.5)))


def test_a_hard_gate_is_zero_or_one_with_the_gradient_of_the_soft_one() -> None:
    odds, noise = rows(500).requires_grad_(), torch.rand(500, generator=seeded(), dtype=torch.float64)
    soft, hard = (HardConcrete(hard=hard).sample(odds, noise) for hard in (False, True))
    assert set(hard.tolist()) == {0.0, 1.0}
    assert torch.equal(hard, (soft > 0.5).double())
    factor = rows(500, seed=1)
    of_soft, of_hard = (torch.autograd.grad((gate * factor).sum(), odds)[0] for gate in (soft, hard))
    assert torch.equal(of_soft, of_hard)
    assert (of_soft != 0).double().mean() > 0.3


def test_log_odds_are_bounded_and_what_pulls_back_from_a_bound_is_felt() -> None:
    odds = torch.tensor([-9.0, -9.0, -1.0, -1.0, 9.0, 9.0], requires_grad=True)
    pull = torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0, -1.0])
    held = bounded(odds)
    assert held.tolist() == [-LIMIT, -LIMIT, -1, -1, LIMIT, LIMIT]
    (gradient,) = torch.autograd.grad((held * pull).sum(), odds)
    assert gradient.tolist() == [0, -1, 1, -1, 1, 0], "descent moves against the gradient"


# --- the view -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("per_channel", [False, True])
def test_the_views_are_named_and_shaped(per_channel: bool) -> None:
    series = ragged()
    views = view_of(per_channel=per_channel)({STREAM: series}, seeded())
    assert set(views) == {"original", "informative", "view", "gate", "mask"}
    assert views["original"] is series
    width = CHANNELS if per_channel else 1
    for name, view in views.items():
        assert view.values.shape == (6, width if name in ("gate", "mask") else CHANNELS, 40)
        assert view.observed.shape == view.values.shape and view.observed.dtype == torch.bool
        assert (view.values[~view.observed] == 0).all()
        for kept in ("extent", "row", "start", "timestamps"):
            assert torch.equal(getattr(view, kept), getattr(series, kept))
    assert torch.equal(views["mask"].observed, series.extent[:, None].expand(-1, width, -1))
    assert torch.equal(views["informative"].observed, series.observed)
    assert 0.3 < views["view"].observed.sum() / series.observed.sum() < 0.7
    kept = views["mask"].values[views["mask"].observed]
    assert kept.min() == 0 and kept.max() == 1


@pytest.mark.parametrize("per_channel", [False, True])
def test_what_the_mask_lets_through_can_be_found_again(per_channel: bool) -> None:
    """With h = 1 the factor alone stands between v* and x; it is never smaller than its floor."""
    made, series = view_of(gate=None, per_channel=per_channel).eval(), ragged()
    views = made({STREAM: series}, seeded())
    assert made.stem is not None and made.factor is not None
    factor = FLOOR + (1 - FLOOR) * torch.sigmoid(made.factor(made.stem(series)))
    assert factor.min() >= FLOOR and factor.min() < 0.2 and factor.max() > 0.8
    torch.testing.assert_close(views["informative"].values / factor, series.values, rtol=1e-5, atol=1e-5)
    assert "mask" not in views


def test_the_informative_part_is_factor_times_mask_times_series() -> None:
    both, mask_alone, factor_alone = (
        view_of(gate, floor).eval() for gate, floor in ((GATE, FLOOR), (GATE, None), (None, FLOOR))
    )
    for made in (mask_alone, factor_alone):
        made.load_state_dict(both.state_dict(), strict=False)
    series = ragged()
    masked, scaled = (gates(made, series)[1] for made in (mask_alone, factor_alone))
    mask, kept = gates(both, series)
    torch.testing.assert_close(masked, mask * series.values)
    torch.testing.assert_close(kept, mask * scaled)
    assert not torch.allclose(scaled, series.values)


def test_without_gate_and_factor_the_view_is_the_series_and_nothing_is_learned() -> None:
    made = view_of(gate=None, floor=None, hide=0.0)
    views = made({STREAM: ragged()}, seeded())
    assert not list(made.parameters())
    for name in ("informative", "view"):
        assert torch.equal(views[name].values, ragged().values)
        assert torch.equal(views[name].observed, ragged().observed)
    assert (gates(made, ragged())[0].flatten(1).sum(1) == ragged().extent.sum(1)).all()


def test_a_view_begins_open() -> None:
    torch.manual_seed(0)
    made = Learned(CHANNELS, gate=GATE, floor=FLOOR, hide=TimestampMask(), hidden=8, depth=2, features=6)
    views = made({STREAM: Series.of(rows(6, CHANNELS, 40).float())}, seeded())
    assert GATE.opening(views["gate"].values).min() > 0.9
    assert 0.2 < (views["mask"].values < 1).float().mean() < 0.6, "gates that are all clipped learn nothing"


def test_training_draws_and_evaluation_does_not() -> None:
    made = view_of()
    first, same, other = (made({STREAM: ragged()}, seeded(seed)) for seed in (0, 0, 1))
    for name in ("mask", "informative", "view"):
        assert torch.equal(first[name].values, same[name].values)
        assert not torch.equal(first[name].values, other[name].values)
    made.eval()
    first, other = (made({STREAM: ragged()}, seeded(seed)) for seed in (0, 1))
    for name in ("gate", "mask", "informative"):
        assert torch.equal(first[name].values, other[name].values)
    assert not torch.equal(first["view"].observed, other["view"].observed), "what η hides is drawn, as by every view"


def test_what_is_kept_can_be_asked_in_any_mode() -> None:
    made, series = view_of(), ragged()
    (mask, kept), (again, _) = gates(made, series), gates(made.eval(), series)
    views = made({STREAM: series}, seeded())
    assert not mask.requires_grad
    assert torch.equal(mask, again) and torch.equal(mask, views["mask"].values)
    assert torch.equal(kept, views["informative"].values)


def test_the_global_random_state_is_neither_read_nor_moved() -> None:
    made = view_of()
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = made({STREAM: ragged()}, seeded())
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert torch.equal(made({STREAM: ragged()}, seeded())["view"].values, first["view"].values)


@pytest.mark.parametrize("length", [1, 2, 9, 45])
def test_padding_changes_nothing(length: int) -> None:
    made = view_of().eval()
    bare = rows(4, CHANNELS, length)
    bare[0, 1, 0] = float("nan")
    nothing = torch.full((4, CHANNELS, 50), float("nan"), dtype=torch.float64)
    padded = Series.of(torch.cat([nothing, bare, nothing[..., :7]], dim=2))
    for here, there in zip(gates(made, Series.of(bare)), gates(made, padded), strict=True):
        torch.testing.assert_close(there[..., 50 : 50 + length], here)
        assert (there[..., :50] == 0).all() and (there[..., 50 + length :] == 0).all()


def test_a_batch_is_what_its_series_are_one_by_one() -> None:
    made, series = view_of().eval(), ragged()
    whole = gates(made, series)
    for i in range(len(series)):
        for part, alone in zip(whole, gates(made, series.rows(slice(i, i + 1))), strict=True):
            torch.testing.assert_close(part[i : i + 1], alone)


def test_every_parameter_has_a_gradient_from_the_informative_part() -> None:
    made = view_of()
    made({STREAM: ragged()}, seeded())["informative"].values.square().sum().backward()
    still = [name for name, p in made.named_parameters() if p.grad is None or p.grad.abs().max() == 0]
    assert not still


@pytest.mark.parametrize("time", [1, 5, 40])
def test_the_scales_are_causal_convolutions_and_their_mean_is_taken(time: int) -> None:
    made = stem.Stem(CHANNELS, 8, 1, 6).double()
    hidden = rows(2, 8, time)
    slow = [functional.conv1d(functional.pad(hidden, (w.shape[-1] - 1, 0)), w) for w in made.scales]
    expected = torch.stack(slow).mean(0) + made.bias[:, None]
    torch.testing.assert_close(made._multiscale(hidden), expected)
    assert [w.shape[-1] for w in made.scales] == list(stem.SCALES)


def test_a_stream_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match="stream 'series'"):
        view_of()({"wrist": ragged()}, seeded())
