"""Which devices are alike, who attracts and who repels under each rule, and what is remembered of it."""

import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import pytest
import torch
from torch import Generator, Tensor

from tsrep.errors import InputError
from tsrep.memory import Step
from tsrep.mining.device_selection import (
    LEAST,
    POLICIES,
    WIDTHS,
    DeviceSelection,
    Rule,
    acceleration,
    discrepancy,
    magnitude,
    masses,
    weights,
)
from tsrep.pairs import Alone
from tsrep.series import Embedding, Series

slow = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "reference" / "collossl.py")))
NAMES = ("a", "b", "c", "d", "e")


def rows(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=Generator().manual_seed(seed), dtype=torch.float64)


def all_present(signals: Tensor) -> Tensor:
    return torch.ones(signals.shape[:2], dtype=torch.bool)


def test_golden_value_of_the_discrepancy() -> None:
    """methods.md §10: the biased estimate with one kernel of σ² = 1."""
    angles = torch.tensor([[0.0, 80, 170, 260], [15.0, 100, 150, 290]], dtype=torch.float64).deg2rad()
    signals = torch.stack([angles.cos(), angles.sin()], dim=-1)
    assert discrepancy(signals, all_present(signals), (1.0,))[0, 1].item() == pytest.approx(0.033980, abs=1e-6)


def test_it_equals_the_slow_loop_over_the_moments_that_both_recorded() -> None:
    signals = 0.4 * rows(3, 6, 4)
    present = torch.tensor([[1, 1, 1, 1, 1, 1], [0, 1, 1, 1, 0, 1], [1, 1, 0, 1, 1, 1]]).bool()
    found = discrepancy(signals, present)
    for a, d in ((0, 1), (0, 2), (1, 2)):
        both = present[a] & present[d]
        assert found[a, d].item() == pytest.approx(slow.mmd(signals[a, both], signals[d, both], WIDTHS), rel=1e-5)
        assert 0.05 < found[a, d] < 10


def test_it_is_symmetric_and_nothing_to_itself_and_grows_with_a_shift() -> None:
    signals = rows(4, 20, 5)
    signals[3] = signals[0]
    found = discrepancy(signals, all_present(signals))
    torch.testing.assert_close(found, found.T)
    assert (found.diagonal() == LEAST).all() and found[0, 3] == LEAST
    assert (found[:3, :3] + torch.eye(3) > 10 * LEAST).all()
    shifted = torch.stack([signals[0], *(signals[1] + shift for shift in (0.0, 1.0, 2.0, 4.0))])
    assert discrepancy(shifted, all_present(shifted))[0, 1:].diff().min() > 0.05


def test_devices_that_share_no_moment_are_infinitely_far_and_have_no_mass() -> None:
    present = torch.tensor([[1, 1, 0, 0], [0, 0, 1, 1], [1, 1, 1, 1]]).bool()
    found = discrepancy(rows(3, 4, 5), present)
    assert found[0, 1].isinf() and found[0, 2].isfinite()
    attract, repel = masses(POLICIES["closest_pos_all_neg"], found, Generator())
    assert attract.tolist()[:2] == [[0, 0, attract[0, 2]], [0, 0, attract[1, 2]]] and attract[0, 2] > 0
    assert repel[0, 1] == repel[1, 0] == 0 and repel[2, :2].gt(0).all()


def test_left_and_right_duplicates_rank_first() -> None:
    """Two wrists that swing alike, two ankles, a head: whoever has a twin is closest to it."""
    wrist, ankle, head = 2.0 + rows(32, 25), 4.0 + 2.0 * rows(32, 25, seed=1), 0.3 * rows(32, 25, seed=2)
    noise = 0.1 * rows(5, 32, 25, seed=3)
    signals = torch.stack([wrist, ankle, wrist, ankle, head]) + noise
    attract, _ = masses(POLICIES["closest_pos_all_neg"], discrepancy(signals, all_present(signals)), Generator())
    assert attract.argmax(1).tolist()[:4] == [2, 3, 0, 1]


DISTANCES = torch.tensor([0.0, 0.5, 0.2, 4.0, 1.0], dtype=torch.float64)
"""Of the devices from the first: from near to far 2, 1, 4, 3."""

CHOSEN = {
    "closest_pos_all_neg": ([2], [1, 2, 3, 4]),
    "closest_only": ([2], [2]),
    "closest_pos_rest_neg": ([2], [1, 3, 4]),
    "closest_two": ([2], [1]),
    "closest_two_reverse": ([1], [2]),
    "hard_negative": ([2], [1, 4]),
    "harder_negative": ([3], [1, 2]),
    "mid_selection": ([1, 4], [3]),
}


def square(distances: Tensor) -> Tensor:
    """Distances between all devices of which the first row is this."""
    full = torch.ones(5, 5, dtype=torch.float64)
    full[0], full[:, 0] = distances, distances
    return full


@pytest.mark.parametrize("rule", CHOSEN)
def test_every_rule_chooses_by_rank(rule: str) -> None:
    attract, repel = masses(POLICIES[rule], square(DISTANCES), Generator())
    attracts, repels = CHOSEN[rule]
    assert torch.nonzero(attract[0])[:, 0].tolist() == attracts
    assert torch.nonzero(repel[0])[:, 0].tolist() == repels
    assert torch.maximum(attract, repel).amax(1).eq(1).all(), "over the largest"
    ratio = repel[0, repels] / attract[0, attracts[0]]
    torch.testing.assert_close(ratio, 1 / DISTANCES[repels])
    assert attract.diagonal().eq(0).all() and repel.diagonal().eq(0).all()


def test_rules_that_draw_choose_anyone_and_weigh_them_alike() -> None:
    for rule, positives in (("random", {1, 2, 3, 4}), ("closest_pos_random_neg", {2})):
        drawn = [masses(POLICIES[rule], square(DISTANCES), Generator().manual_seed(s)) for s in range(40)]
        assert {int(attract[0].argmax()) for attract, _ in drawn} == positives
        assert {int(repel[0].argmax()) for _, repel in drawn} == {1, 2, 3, 4}
        assert all(set(mass.unique().tolist()) == {0.0, 1.0} for pair in drawn for mass in pair)


def test_every_rule_has_a_name_and_the_names_are_all() -> None:
    assert set(get_args(Rule)) == set(POLICIES) == {*CHOSEN, "random", "closest_pos_random_neg"}


def test_weights_are_inverse_distances_within_bounds_over_the_largest() -> None:
    """A positive of 1 and negatives at .5 and .25 weigh ¼, ½ and 1; a twin at 1e-4 does not silence the positive."""
    far = torch.tensor([[0, 1, 0.5, 0.25], [1, 0, 1, 1], [1, 1, 0, 1], [1, 1, 1, 0]], dtype=torch.float64)
    twin = far.clone()
    twin[0, 1:] = torch.tensor([LEAST, 0.5, 100.0])
    attract, repel = masses(POLICIES["closest_pos_rest_neg"], far[:, [0, 3, 2, 1]][[0, 3, 2, 1]], Generator())
    assert attract[0].tolist() == [0, 0.5, 0, 0] and repel[0].tolist() == [0, 0, 1, 0.5]
    assert (torch.tensor([1.0, *weights(torch.tensor([0.5, 0.25]))]) / 4).tolist() == [0.25, 0.5, 1.0]
    attract, repel = masses(POLICIES["closest_pos_all_neg"], twin, Generator())
    torch.testing.assert_close(attract[0], torch.tensor([0, 0.1, 0, 0]).double())
    torch.testing.assert_close(repel[0], torch.tensor([0, 1.0, 0.2, 0.01]).double())


@pytest.mark.parametrize("rule", POLICIES)
def test_a_rule_without_devices_enough_is_refused(rule: str) -> None:
    others = POLICIES[rule].others
    DeviceSelection(NAMES[: others + 1], {}, rule)
    with pytest.raises(InputError, match=f"expected more than {others} devices for the rule {rule}, got {others}: a"):
        DeviceSelection(NAMES[:others], {}, rule)
    assert POLICIES["harder_negative"].others == 4


def test_sensors_are_the_accelerations_by_name() -> None:
    assert acceleration(("gyr_x", "acc_x", "acc_y", "ACC_Z")) == (1, 2, 3)
    assert acceleration(("x", "y")) == (0, 1)


def test_magnitudes_of_other_rates_are_compared_at_the_same_moments() -> None:
    time = torch.linspace(0, 6, 61, dtype=torch.float64)
    fast = torch.stack([time.sin() + 2, time.cos()])[None]
    slowly = fast[:, :, ::2]
    assert magnitude(Series.of(fast), (0,), 61).shape == (1, 61)
    torch.testing.assert_close(
        magnitude(Series.of(fast), (0,), 31), magnitude(Series.of(slowly), (0,), 31), atol=0, rtol=1e-6
    )
    torch.testing.assert_close(magnitude(Series.of(fast), (0, 1), 61)[0], fast[0].norm(dim=0))
    views = {
        "a": Series.of(fast.expand(4, -1, -1) + rows(4, 1, 1)),
        "b": Series.of(slowly.expand(4, -1, -1) + rows(4, 1, 1)),
    }
    sensors = {"a": (0, 1), "b": (0, 1)}
    assert DeviceSelection(("a", "b"), sensors).compared(views, Alone())[0, 1] == LEAST


def batch(seed: int, gone: bool = False) -> dict[str, Series]:
    found = {name: Series.of(rows(6, 2, 8, seed=seed + i) * (1 + i)) for i, name in enumerate("abc")}
    if gone:
        found["c"] = Series.of(torch.full((6, 2, 8), torch.nan, dtype=torch.float64))
    return found


def told(views: dict[str, Series]) -> Step:
    empty = torch.zeros(6, 1, 1)
    return Step("contrast", views, {k: Embedding(empty, empty[..., 0], v) for k, v in views.items()}, {}, Alone())


def test_once_is_the_mean_over_the_first_epoch_and_stays() -> None:
    sensors = dict.fromkeys("abc", (0, 1))
    once, each = DeviceSelection("abc", sensors, once=True), DeviceSelection("abc", sensors)
    batches = [batch(10), batch(20, gone=True), batch(30)]
    seen = [each.distances(views, Alone()) for views in batches]
    assert seen[1][0, 2].isinf()
    for i, views in enumerate(batches):
        assert torch.equal(once.distances(views, Alone()), once.distances(views, Alone())), (
            "nothing changes between steps"
        )
        torch.testing.assert_close(once.distances(views, Alone())[0, 1], torch.stack(seen[: i + 1]).mean(0)[0, 1])
        once.after_step(told(views)), each.after_step(told(views))
    once.after_epoch(1), each.after_epoch(1)
    final = once.distances(batch(99), Alone())
    torch.testing.assert_close(final[0, 1], torch.stack(seen).mean(0)[0, 1])
    torch.testing.assert_close(final[0, 2], (seen[0] + seen[2])[0, 2] / 2)
    once.after_step(told(batch(99)))
    again = DeviceSelection("abc", sensors, once=True)
    again.load_state_dict(once.state_dict())
    assert torch.equal(again.distances(batch(5), Alone()), final)
    assert not torch.equal(each.distances(batch(5), Alone()), each.distances(batch(6), Alone()))
    assert each.count.sum() == 0
