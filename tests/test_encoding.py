"""Embeddings at every step: one pass equals sliding windows, in any chunks, over gaps; and neither knows what comes later."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tsrep import registry
from tsrep.encoders.causal import Causal
from tsrep.encoders.patch import Patch
from tsrep.encoders.trend import Trend
from tsrep.encoding import Read, at_each_step, one_pass, receptive_field, sliding
from tsrep.errors import InputError
from tsrep.series import Embedding, Series

CHANNELS, TIME, WINDOW = 3, 150, 24
SMALL: dict[str, dict[str, Any]] = {
    "dilated": {"hidden": 6, "depth": 3, "features": 5},
    "causal": {"hidden": 6, "depth": 3, "features": 5},
    "patch": {"hidden": 8, "layers": 1, "heads": 2, "features": 5, "patch": 4, "stride": 4},
    "trend": {"hidden": 6, "depth": 2, "width": 6, "features": 5, "kernels": 64},
    "wide": {"hidden": 6, "depth": 2, "features": 5, "kernels": 6, "competing": 16},
    "tpn": {"hidden": [4, 6], "features": 5},
    "imu": {"widths": (4, 6), "layers": 1, "features": 5, "parts": 2},
    "recurrent": {"hidden": 3, "layers": 1},
    "cooccurrence": {"widths": (4, 16, 4, 4, 4, 4), "features": 5, "parts": 2},
    "skeleton_graph": {"hidden": 4, "blocks": 1, "features": 5, "parts": 2},
    "tsai": {"arch": "FCNPlus", "kwargs": {"layers": [4, 6, 4]}},
}
MORE: dict[str, tuple[str, dict[str, Any]]] = {
    "patch, causal": ("patch", {"between": "nearest", "causal": True}),
    "patch, flat": ("patch", {"normalise": "last", "pool": "flat"}),
    "trend, both sides": ("trend", {"causal": False}),
    "tsai, recurrent": ("tsai", {"arch": "GRUPlus", "kwargs": {"hidden_size": 5}}),
}
KINDS = (*sorted(registry.choices("encoders")), *MORE)
ONE_PASS: Mapping[str, Any] = {
    "causal": Causal(**SMALL["causal"], pool="last"),
    "trend": Trend(**SMALL["trend"], pool="last"),
}
READS: tuple[Read, ...] = ("last", "pooled")


def encoder_of(kind: str) -> nn.Module:
    """A new encoder of the registry is tested by being there."""
    name, more = MORE.get(kind, (kind, {}))
    if name == "tsai":
        pytest.importorskip("tsai", reason="needs the package tsai: install tsrep[tsai]")
    torch.manual_seed(0)
    made: nn.Module = registry.choice("encoders", name)(**SMALL.get(name, {}) | more).build(CHANNELS, WINDOW)
    return made


@pytest.fixture(params=ONE_PASS)
def causal(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    made: nn.Module = ONE_PASS[request.param].build(CHANNELS, WINDOW)
    return made


def ragged(time: int = TIME) -> np.ndarray:
    """Whole; begun late with gaps; ended early; a gap of one channel, a gap longer than a window, a gap at the border of chunks."""
    x = np.random.default_rng(0).standard_normal((4, CHANNELS, time)).astype(np.float32)
    x[1, :, :17], x[1, :, 50], x[2, :, 131:], x[2, 0, 40:60], x[3, :, 60:101], x[3, :, 22:27] = [np.nan] * 6
    return x


def inside(x: np.ndarray) -> np.ndarray:
    return Series.of(torch.from_numpy(x)).extent.numpy()


def compare(found: np.ndarray, expected: np.ndarray, within: np.ndarray) -> None:
    """(n, feature, time) twice, equal where `within` (n, time), and NaN outside of it."""
    found, expected = found.swapaxes(1, 2), expected.swapaxes(1, 2)
    assert found.shape == expected.shape and found.dtype == np.float32
    assert np.isnan(found[~within]).all()
    np.testing.assert_allclose(found[within], expected[within], rtol=0, atol=1e-5)
    assert expected[within].std(axis=0).min() > 1e-3


@torch.no_grad()
def whole_pass(encoder: nn.Module, x: np.ndarray) -> np.ndarray:
    steps: np.ndarray = encoder.eval()(Series.of(torch.from_numpy(x))).steps.numpy()
    return steps


def field_of(encoder: nn.Module) -> int:
    field = receptive_field(encoder)
    assert field is not None
    return field


def test_one_pass_equals_the_whole_pass_and_sliding_over_gaps(causal: nn.Module) -> None:
    x = ragged()
    found = one_pass(causal, x)
    within = inside(x)
    assert not within.all()
    compare(found, whole_pass(causal, x), within)
    assert field_of(causal) < TIME
    for read in READS:  # the pool is the last step
        compare(sliding(causal, x, field_of(causal), read=read), found, within)


@pytest.mark.parametrize("chunk", [1, 7, 23, 64, 149, 150, 600])
def test_the_size_of_chunks_changes_nothing(causal: nn.Module, chunk: int) -> None:
    """Gaps lie across their borders, and some hold nothing of a series."""
    x = ragged()
    compare(one_pass(causal, x, chunk=chunk), whole_pass(causal, x), inside(x))


def test_a_shorter_window_knows_less(causal: nn.Module) -> None:
    x = ragged()[:1]
    short, field = field_of(causal) - 1, field_of(causal)
    one, less = one_pass(causal, x), sliding(causal, x, short, read="last")
    np.testing.assert_allclose(less[:, :, :short], one[:, :, :short], rtol=0, atol=1e-5)
    x[0, :, 0] += 10  # what only the whole field reaches
    moved = np.abs(one_pass(causal, x) - one).max(axis=(0, 1))
    assert moved[field - 1] > 0 and (moved[field:] == 0).all()
    assert np.array_equal(sliding(causal, x, short, read="last")[:, :, field - 1], less[:, :, field - 1])


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("kind", KINDS)
def test_no_embedding_knows_the_future_to_the_last_bit(kind: str, read: Read) -> None:
    encoder = encoder_of(kind)
    x = ragged()
    within = inside(x)
    before = at_each_step(encoder, x, WINDOW, read).swapaxes(1, 2)
    for at in (30, 77, 110):
        changed = x.copy()
        changed[:, :, at:] = 1e3 * changed[:, :, at:] + 7
        after = at_each_step(encoder, changed, WINDOW, read).swapaxes(1, 2)
        assert np.array_equal(after[:, :at], before[:, :at], equal_nan=True)
        later = within.copy()
        later[:, :at] = False
        assert (np.abs(after - before).max(axis=2)[later] > 0).mean() > 0.5
    assert np.isfinite(before[within]).all() and before[within].std(axis=0).max() > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_whether_the_future_was_observed_is_not_known_either(kind: str) -> None:
    encoder = encoder_of(kind)
    x = ragged()
    cut = x.copy()
    cut[:, :, 115:] = np.nan
    for read in READS:
        before, after = (at_each_step(encoder, values, WINDOW, read) for values in (x, cut))
        within = inside(cut)
        assert within.sum() < inside(x).sum()
        np.testing.assert_allclose(after.swapaxes(1, 2)[within], before.swapaxes(1, 2)[within], rtol=0, atol=1e-5)


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("kind", ["dilated", "patch", "patch, causal", "patch, flat", "tsai"])
def test_sliding_is_the_encoder_on_each_window_by_itself(kind: str, read: Read) -> None:
    encoder = encoder_of(kind)
    x = ragged()[:2]
    found = sliding(encoder, x, WINDOW, read=read, batch=13)
    encoder.eval()
    for row, begun in ((0, 0), (1, 17)):
        assert np.isnan(found[row, :, :begun]).all()
        for t in (begun, begun + 1, begun + 9, 60, 149):
            window = torch.from_numpy(x[row : row + 1, :, max(begun, t - WINDOW + 1) : t + 1])
            with torch.no_grad():
                embedding: Embedding = encoder(Series.of(window))
            expected = embedding.pooled[0] if read == "pooled" else embedding.steps[0, :, -1]
            np.testing.assert_allclose(found[row, :, t], expected.numpy(), rtol=0, atol=1e-5)


def test_chosen_steps_are_those_of_all_steps() -> None:
    encoder, x = encoder_of("dilated"), ragged()
    every = sliding(encoder, x, WINDOW, read="last")
    steps = np.array([149, 3, 55, 3])
    found = sliding(encoder, x, WINDOW, read="last", steps=steps)
    assert np.isnan(found).any()
    np.testing.assert_allclose(found, every[:, :, steps], rtol=0, atol=1e-5, equal_nan=True)


def test_a_window_longer_than_the_series_is_all_of_it() -> None:
    encoder, x = encoder_of("dilated"), ragged(150)[:, :, :40]
    found = sliding(encoder, x, 40, read="pooled", steps=np.array([39]))
    np.testing.assert_array_equal(sliding(encoder, x, 4000, read="pooled", steps=np.array([39])), found)


def test_only_causal_encoders_that_do_not_count_steps_take_one_pass() -> None:
    fields = {kind: receptive_field(encoder_of(kind)) for kind in KINDS}
    assert {kind for kind, field in fields.items() if field is not None} == {"causal", "trend"}
    assert fields["trend"] == 1 + 4 * (1 + 2 + 4) + 63
    for kind in ("patch, causal", "dilated"):  # positions count from the beginning of the window
        encoder, x = encoder_of(kind), ragged()
        with pytest.raises(InputError, match=r"expected a causal encoder with a receptive field.*slide a window"):
            one_pass(encoder, x)
        found = at_each_step(encoder, x, WINDOW, "last")
        np.testing.assert_array_equal(found, sliding(encoder, x, WINDOW, read="last"))
        assert np.nanmax(np.abs(whole_pass(encoder, x)[0] - found[0])) > 1e-2


def test_at_each_step_takes_one_pass_where_it_may(causal: nn.Module) -> None:
    x = ragged()
    np.testing.assert_array_equal(at_each_step(causal, x, 3, "last"), one_pass(causal, x))
    np.testing.assert_array_equal(at_each_step(causal, x, 3, "pooled"), sliding(causal, x, 3, read="pooled"))


class Watched(nn.Module):
    """Notes the shapes that an encoder is fed, and whether it learns."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder, self.fed = encoder, []
        self.channels, self.causal, self.receptive_field = CHANNELS, encoder.causal, encoder.receptive_field

    def forward(self, series: Series) -> Embedding:
        self.fed.append((len(series), series.length))
        assert not self.training and not self.encoder.training and not torch.is_grad_enabled()
        found: Embedding = self.encoder(series)
        return found


def test_memory_does_not_grow_with_the_series(causal: nn.Module) -> None:
    watched = Watched(causal)
    field = watched.receptive_field
    one_pass(watched, np.ones((3, CHANNELS, 5000), np.float32), chunk=64)
    assert max(steps for _, steps in watched.fed) == 64 + field - 1
    assert {n for n, _ in watched.fed} == {1} and len(watched.fed) == 3 * -(-5000 // 64)
    watched.fed.clear()
    one_pass(watched, np.ones((9, CHANNELS, 30), np.float32), chunk=64)
    assert watched.fed == [(2, 30)] * 4 + [(1, 30)]  # short series go together
    watched.fed.clear()
    sliding(watched, np.ones((2, CHANNELS, 150), np.float32), 10, read="last", batch=32)
    assert set(watched.fed) == {(32, 10), (2 * 150 % 32, 10)}


def test_an_encoder_is_left_as_it_was(causal: nn.Module) -> None:
    """Some parts of one that trains may rest."""
    causal.train()
    resting = next(causal.children()).eval()
    one_pass(causal, ragged())
    sliding(causal, ragged(), 5, read="last")
    assert causal.training and not resting.training
    assert all(p.requires_grad and p.grad is None for p in causal.parameters())


def test_precision_of_the_encoder_is_kept_and_the_answer_is_float32(causal: nn.Module) -> None:
    x = ragged()
    single, double = one_pass(causal, x), one_pass(causal.double(), x.astype(np.float64))
    assert double.dtype == np.float32
    np.testing.assert_allclose(double, single, rtol=0, atol=1e-5, equal_nan=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"values": np.zeros((2, CHANNELS + 1, 9))}, r"with 3 channels, as the encoder was built for, got shape \(2, 4, 9\)"),
        ({"values": np.zeros((2, CHANNELS))}, r"expected an array \(n, channel, time\)"),
        ({"values": np.full((2, CHANNELS, 9), np.inf)}, "expected finite values"),
        ({"values": np.stack([np.zeros((CHANNELS, 9)), np.full((CHANNELS, 9), np.nan)])}, "got nothing in 1$"),
        ({"window": 0}, "expected window to be at least 1, got 0"),
        ({"batch": 0}, "expected batch to be at least 1"),
        ({"read": "first"}, "expected read to be \"last\" or \"pooled\", got 'first'"),
        ({"steps": np.array([0, 9])}, "whole numbers from 0 to 8, got 0, 9"),
        ({"steps": np.array([-1])}, "whole numbers from 0 to 8, got -1"),
        ({"steps": np.array([0.5])}, "whole numbers from 0 to 8, got 0.5"),
        ({"steps": np.array([], int)}, "whole numbers from 0 to 8"),
        ({"values": np.pad(np.zeros((1, CHANNELS, 4)), ((0, 0), (0, 0), (5, 0)), constant_values=np.nan), "steps": np.array([2])},
         "expected a step inside a series, got none"),
    ],
)  # fmt: skip
def test_what_cannot_be_embedded_says_why(change: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"values": np.zeros((2, CHANNELS, 9)), "window": 4, "read": "last"} | change
    with pytest.raises(InputError, match=message):
        sliding(encoder_of("causal"), **given)


def test_one_pass_refuses_what_sliding_refuses() -> None:
    with pytest.raises(InputError, match="expected finite values"):
        one_pass(encoder_of("causal"), np.full((1, CHANNELS, 9), np.inf))
    with pytest.raises(InputError, match="expected chunk to be at least 1, got 0"):
        one_pass(encoder_of("causal"), np.zeros((1, CHANNELS, 9)), chunk=0)
    with pytest.raises(InputError, match="at most 24 steps for pool=flat, got 25"):
        sliding(encoder_of("patch, flat"), np.ones((1, CHANNELS, 60)), WINDOW + 1, read="pooled")
    assert isinstance(encoder_of("patch, flat").config, Patch)  # type: ignore[union-attr]
