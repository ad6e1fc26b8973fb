"""What holds for every augmentation there is; a new file in tsrep/views is tested here without a change."""

from dataclasses import FrozenInstanceError, fields, replace

import pytest
import torch

from tsrep.errors import InputError
from tsrep.series import Series
from tsrep.views import AUGMENTATIONS

FILES = {
    "crop_resize",
    "frequency_mask",
    "jitter",
    "magnitude_warp",
    "mirror",
    "permute",
    "rotate",
    "scale",
    "shear",
    "span_mask",
    "time_warp",
    "timestamp_mask",
    "turn",
}
DRAWS_FOR_EVERY_STEP = {"jitter", "timestamp_mask", "frequency_mask"}
"""Their draws depend on the length of the batch, so padding changes which numbers are drawn (not how)."""

KEEPS_AN_AXIS = {"turn": slice(1, None, 3), "mirror": [1, 2, 4, 5]}
"""The channels that the default strength leaves as they are: the vertical one, and the two that are not mirrored."""
YES_OR_NO = {"mirror"}
"""They draw no number but whether."""

every = pytest.mark.parametrize("name", sorted(AUGMENTATIONS))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def strength(name: str) -> str:
    return fields(AUGMENTATIONS[name])[0].name


def waves(dtype: torch.dtype = torch.float32, batch: int = 8, length: int = 40) -> Series:
    """Smooth series of 6 channels with missing values, padding at the end of row 1 and at the beginning of row 2."""
    time = torch.arange(length, dtype=torch.float64)
    phase = torch.rand(batch, 6, 1, generator=seeded(1), dtype=torch.float64) * 6.28
    values = 2 + torch.sin(0.3 * time + phase) + 0.1 * torch.randn(batch, 6, length, generator=seeded(2))
    missing = torch.rand(values.shape, generator=seeded(3)) < 0.05
    missing[0] = False
    missing[1, :, 25:] = True
    missing[2, :, :12] = True
    clock = time.expand(batch, -1) * 0.02
    series = Series.of(values.masked_fill(missing, float("nan")).to(dtype), torch.arange(batch) + 100, clock)
    return replace(series, start=torch.arange(batch) * 7)


def full(batch: int = 8, length: int = 40) -> Series:
    return Series.of(torch.randn(batch, 6, length, generator=seeded(4)) + 1)


def same(left: Series, right: Series) -> bool:
    return torch.equal(left.values, right.values) and torch.equal(left.observed, right.observed)


def test_all_the_augmentations_are_found_by_name() -> None:
    assert set(AUGMENTATIONS) >= FILES


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_shape_dtype_device_and_what_is_known_of_a_series_stay(name: str, dtype: torch.dtype) -> None:
    series = waves(dtype)
    out = AUGMENTATIONS[name]()(series, seeded())
    assert out.values.shape == series.values.shape and out.values.dtype == dtype
    assert out.values.device == series.values.device
    assert out.observed.shape == series.observed.shape and out.observed.dtype == torch.bool
    for kept in ("extent", "row", "start", "timestamps"):
        assert torch.equal(getattr(out, kept), getattr(series, kept))


@every
def test_strength_zero_is_the_identity(name: str) -> None:
    series = waves()
    assert same(AUGMENTATIONS[name](**{strength(name): 0})(series, seeded()), series)


@every
def test_the_default_strength_changes_every_channel(name: str) -> None:
    series = full()
    change = (AUGMENTATIONS[name]()(series, seeded()).values - series.values).abs().amax(dim=(0, 2))
    kept = torch.zeros(6, dtype=torch.bool)
    kept[KEEPS_AN_AXIS.get(name, [])] = True
    assert (change[~kept] > 1e-3).all()
    assert (change[kept] == 0).all()


@every
def test_one_seed_gives_one_result_and_another_seed_another(name: str) -> None:
    augment = AUGMENTATIONS[name]()
    assert same(augment(waves(), seeded(5)), augment(waves(), seeded(5)))
    assert not torch.equal(augment(waves(), seeded(5)).values, augment(waves(), seeded(6)).values)


@every
def test_the_input_is_not_changed(name: str) -> None:
    series = waves()
    before = series.values.clone(), series.observed.clone(), series.extent.clone()
    AUGMENTATIONS[name]()(series, seeded())
    after = series.values, series.observed, series.extent
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


@every
def test_the_global_random_state_is_neither_read_nor_moved(name: str) -> None:
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = AUGMENTATIONS[name]()(waves(), seeded())
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert same(AUGMENTATIONS[name]()(waves(), seeded()), first)


@every
def test_each_series_of_a_batch_draws_its_own_parameters(name: str) -> None:
    one = full(batch=1)
    batch = one.rows(torch.zeros(12, dtype=torch.int64))
    out = AUGMENTATIONS[name]()(batch, seeded()).values
    assert len(torch.unique(out.flatten(1), dim=0)) >= (
        2 if name in YES_OR_NO else 8
    )  # a permutation into one segment, a mask at one place may repeat


@every
def test_unobserved_stays_zero_and_padding_stays_padding(name: str) -> None:
    series = waves()
    out = AUGMENTATIONS[name]()(series, seeded())
    assert not out.observed.all() and out.observed.any()
    assert (out.values[~out.observed] == 0).all()
    assert not (out.observed & ~series.extent[:, None]).any()
    assert torch.isfinite(out.values).all()
    assert out.observed.flatten(1).any(dim=1).all()


@every
def test_padding_changes_nothing(name: str) -> None:
    bare = full(length=40)
    nothing = torch.full((8, 6, 9), float("nan"))
    padded = Series.of(torch.cat([nothing, bare.values, nothing], dim=2))
    augment = AUGMENTATIONS[name]()
    here, there = augment(bare, seeded()), augment(padded, seeded())
    assert not torch.equal(here.values, bare.values)
    if name in DRAWS_FOR_EVERY_STEP:
        inside = there.values[:, :, 9:49]
        assert (inside - bare.values).std() == pytest.approx(float((here.values - bare.values).std()), rel=0.35)
        assert inside.mean() == pytest.approx(float(here.values.mean()), abs=0.1)
    else:
        torch.testing.assert_close(there.values[:, :, 9:49], here.values, rtol=1e-4, atol=1e-4)
        assert torch.equal(there.observed[:, :, 9:49], here.observed)


@every
@pytest.mark.parametrize("length", [1, 2, 3])
def test_the_shortest_series_pass(name: str, length: int) -> None:
    out = AUGMENTATIONS[name]()(full(batch=3, length=length), seeded())
    assert out.values.shape == (3, 6, length) and torch.isfinite(out.values).all()


@every
def test_an_augmentation_is_frozen(name: str) -> None:
    with pytest.raises(FrozenInstanceError):
        setattr(AUGMENTATIONS[name](), strength(name), 0)


@every
@pytest.mark.parametrize("wrong", [-0.1, float("nan"), float("inf"), "much", None, True])
def test_a_strength_that_is_no_strength_is_refused(name: str, wrong: object) -> None:
    with pytest.raises(InputError, match=f"expected {name}.{strength(name)} to be a .*number"):
        AUGMENTATIONS[name](**{strength(name): wrong})


@every
@pytest.mark.parametrize("device", ["cpu", *(["cuda"] if torch.cuda.is_available() else [])])
def test_series_stay_on_their_device(name: str, device: str) -> None:
    out = AUGMENTATIONS[name]()(waves().to(device), seeded())
    assert out.values.device.type == out.observed.device.type == device
    torch.testing.assert_close(out.values.cpu(), AUGMENTATIONS[name]()(waves(), seeded()).values, rtol=1e-4, atol=1e-4)
