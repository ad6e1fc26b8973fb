"""What bad-pair mining found is kept with the model: the memory as it was, and the views of the worst pairs."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import torch

import tsrep
from tsrep.errors import InputError
from tsrep.mining.bad_pairs import FAULTY, NOISY
from tsrep.suspects import NAME, WORST, load

SMALL = {"name": "dilated", "hidden": 8, "depth": 3, "features": 12}
EAGER = {"bad_pairs": {"warmup": 1, "beta_noisy": 0.5, "beta_faulty": 0.5}}


AUTOTCL = {"name": "autotcl", "hidden": 6, "features": 4}


def fit(
    method: Any = "ts2vec",
    mining: Any = EAGER,
    n: int = 16,
    training: Mapping[str, Any] = MappingProxyType({}),
    **more: Any,
) -> tsrep.Model:
    x = np.random.default_rng(0).standard_normal((n, 2, 24)).astype(np.float32)
    x[1, :, 15:], x[2, 1, 4:9] = np.nan, np.nan
    return tsrep.fit(
        x, method=method, encoder=SMALL, mining=mining, training={"epochs": 3, "batch_size": 8, **training}, **more
    )


@pytest.mark.parametrize("method", ["simclr", "ts2vec", AUTOTCL])
def test_the_worst_pairs_come_with_their_series_and_both_views(method: Any) -> None:
    model = fit(method)
    held = model.suspects
    assert held is not None
    assert len(held.found) == (2 if isinstance(method, dict) else 1)
    found = held.first
    assert found.epochs == 3 and found.weighs
    mean = found.mean.numpy()
    assert held.rows[:WORST].tolist() == np.argsort(mean)[:WORST].tolist()
    assert held.rows[WORST:].tolist() == np.argsort(mean)[::-1][:WORST].tolist()
    assert next(iter(held.views)) == "series" and len(held.views) == 3
    assert all(len(values) == 2 * WORST for values in held.views.values())
    for name, values in held.views.items():
        assert np.isfinite(values).any(axis=(1, 2)).all(), name
        assert held.start[name].shape == (2 * WORST,)
    first, second = list(held.views.values())[1:]
    assert first.shape != second.shape or not np.array_equal(first, second, equal_nan=True)


def test_the_table_names_every_pair_and_begins_with_the_worst() -> None:
    held = fit().suspects
    assert held is not None
    table = held.table()
    assert sorted(table["row"]) == list(range(16))
    kinds = dict(zip(table["row"], table["kind"], strict=True))
    for row, kind in enumerate(held.first.kind.tolist()):
        assert kinds[row] == {NOISY: "noisy", FAULTY: "faulty"}.get(kind, "good")
    assert {"noisy", "faulty"} <= set(kinds.values())
    bad = table["kind"].ne("good").to_numpy()
    away = (table["loss"] - (held.first.low + held.first.high) / 2).abs().to_numpy()
    assert (np.diff(away) <= 0).all() and bad[0]


def test_what_was_found_survives_saving_and_goes_with_the_model(tmp_path: Path) -> None:
    model = fit(out=tmp_path / "run")
    loaded = tsrep.load(tmp_path / "run")
    assert (
        "Mining, `bad_pairs`: Pairs that always lose abnormally little" in (tmp_path / "run" / "README.md").read_text()
    )
    assert model.suspects is not None and loaded.suspects is not None
    for term, found in model.suspects.found.items():
        again = loaded.suspects.found[term]
        torch.testing.assert_close(again.mean, found.mean, equal_nan=True)
        assert torch.equal(again.kind, found.kind)
        assert (again.low, again.high, again.reliability, again.epochs, again.weighs) == (
            (found.low, found.high, found.reliability, found.epochs, found.weighs)
        )
    for name, values in model.suspects.views.items():
        np.testing.assert_array_equal(loaded.suspects.views[name], values)
    fit(mining=None).save(tmp_path / "run")
    assert not (tmp_path / "run" / NAME).exists()
    assert tsrep.load(tmp_path / "run").suspects is None


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    fit(out=tmp_path / "run")
    path = tmp_path / "run" / NAME
    other = path.with_name("weights.safetensors").read_bytes()
    path.write_bytes(other)
    with pytest.raises(InputError, match="bad-pair mining found"):
        load(path)
    path.write_bytes(other[:40])
    with pytest.raises(InputError, match="damaged"):
        tsrep.load(tmp_path / "run")


def test_too_few_windows_keep_as_many_as_there_are() -> None:
    held = fit(n=4).suspects
    assert held is not None and sorted(held.rows.tolist()) == [0, 1, 2, 3]


@pytest.mark.parametrize("device", ["cpu", *(["cuda"] if torch.cuda.is_available() else [])])
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float64"])
def test_a_learned_view_is_shown_wherever_and_in_whatever_precision_it_was_trained(
    precision: str, device: str, tmp_path: Path
) -> None:
    """Data lies on the processor in float32, whatever the method was moved to."""
    held = fit(AUTOTCL, training={"precision": precision, "device": device}, out=tmp_path / "run").suspects
    assert held is not None
    assert held.first.mean.device == held.first.kind.device == torch.device("cpu")
    assert {values.dtype for values in held.views.values()} == {np.dtype(np.float32)}
    assert (tmp_path / "run" / NAME).is_file()


def test_pairs_that_were_never_seen_stand_last_in_the_table_and_each_once() -> None:
    """One epoch of batches of five leaves two of seventeen windows out."""
    held = fit("simclr", n=17, training={"epochs": 1, "batch_size": 5}).suspects
    assert held is not None
    table = held.table()
    assert sorted(table["row"]) == list(range(17))
    assert table["loss"].isna().tolist() == [False] * 15 + [True] * 2
