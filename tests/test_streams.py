"""Several streams at once: every view goes to the encoder of its stream, a batch is the same rows of all, and every law of one stream
holds. Generated over every registered method that asks for several streams, beside a tiny one of this file."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from torch import Generator, Tensor, nn
from torch.nn.functional import normalize

import tsrep
from tsrep import plan, planning, preparing, registry
from tsrep.encoders.dilated import Dilated
from tsrep.encoders.streams import Each, width
from tsrep.errors import InputError
from tsrep.method import DataShape, Method, Phase, StreamShape, Term
from tsrep.pairs import Gather, Pairs
from tsrep.series import Batch, Embedding, Series, as_batch, side_by_side
from tsrep.training import Interrupted, Training, train

ENCODER = Dilated(hidden=6, depth=2, features=8, dropout=0.0)
STREAMS = ("wrist", "hip", "ankle")
ROWS, CHANNELS, TIME = 14, 3, 20
BAD_PAIRS = {"bad_pairs": {"warmup": 1, "beta_noisy": 0.3, "beta_faulty": 0.3}}
ABSENT = ((1, "hip"), (4, "hip"), (4, "ankle"), (6, "wrist"))


def batch_of(n: int = ROWS, seed: int = 0, alike: bool = True) -> dict[str, Series]:
    """Three streams that see one hidden movement, ragged, some absent; alike: of the same channels and length."""
    rng = np.random.default_rng(seed)
    hidden = rng.standard_normal((n, CHANNELS, TIME))
    made = {}
    for place, name in enumerate(STREAMS):
        values = hidden + 0.5 * rng.standard_normal(hidden.shape)
        values[2, :, 15:] = np.nan
        values[[row for row, stream in ABSENT if stream == name and row < n]] = np.nan
        made[name] = Series.of(torch.from_numpy(values if alike else values[:, : 3 - place, : TIME - 2 * place]))
    return {name: whole(series) for name, series in made.items()}


def whole(series: Series) -> Series:
    """With the extent of absent rows, as data is prepared."""
    series.extent[~series.present] = True
    return series


def shape_of(batch: Batch) -> DataShape:
    shapes = tuple(StreamShape(name, tuple("abc"[: s.channels]), s.length) for name, s in batch.items())
    who = torch.arange(len(batch["wrist"])) // 4
    return DataShape(len(who), shapes[0].channels, max(s.length for s in shapes), None, shapes, who)


@dataclass(frozen=True)
class Agree:
    """Every stream attracts the next one at the same moment, where both are present."""

    streams: tuple[str, ...]

    def __call__(self, embeddings: Mapping[str, Embedding], gather: Gather) -> Iterator[Pairs]:
        ways = list(zip(self.streams, self.streams[1:], strict=False))
        for one, other in ways:
            a, b = embeddings[one], embeddings[other]
            left, right = normalize(a.pooled, dim=-1), gather(normalize(b.pooled, dim=-1))
            here, there = a.series.present & b.series.present, gather(b.series.present & a.series.present)
            first, total = gather.place(len(left))
            own = torch.arange(first, first + len(left))
            both = (here[:, None] & there).to(left.dtype)
            itself = torch.zeros(len(left), total, dtype=left.dtype).scatter(1, own[:, None], 1.0)
            yield Pairs(
                score=left @ right.mT / 0.2,
                attract=torch.where(here[:, None], itself, 1.0),
                repel=(1.0 - itself) * both,
                weight=here.to(left.dtype) / there.sum() / len(ways),
                row=a.series.row,
            )


def every(batch: Batch, generator: Generator) -> dict[str, Series]:
    return dict(batch)


@dataclass(frozen=True)
class Tiny:
    """Streams agree. Nobody et al. 2020, arXiv:0000.00000."""

    streams: ClassVar[int] = 2

    def build(self, encoder: nn.Module, data: DataShape) -> Method:
        names = tuple(s.name for s in data.streams)
        head = nn.Linear(width(encoder, names[0]), 5)
        if isinstance(encoder, Each):
            head = Each({name: nn.Linear(width(encoder, name), 5) for name in names})
        return Method("tiny", every, encoder, (Phase("agree", (encoder, head), {"agree": Term(Agree(names))}),), head)


METHODS = ["tiny", *sorted(n for n, kind in registry.choices("methods").items() if getattr(kind, "streams", 1) > 1)]
KINDS = ("shared", "each")


def method_of(name: str, encoders: str, batch: Batch, seed: int = 0, mined: bool = False) -> Method:
    config = Tiny() if name == "tiny" else registry.choice("methods", name)()
    torch.manual_seed(seed)
    made = {name: ENCODER.build(s.channels, s.length) for name, s in batch.items()}
    method: Method = config.build(made["wrist"] if encoders == "shared" else Each(made), shape_of(batch))
    if mined:
        (miner,) = planning.make({"mining": BAD_PAIRS})[0].mining.values()
        method = method.mined([miner], batch)
    return method


def contents(method: Method, kept: nn.Module) -> dict[str, Tensor]:
    return {f"method.{k}": v for k, v in method.state_dict().items()} | {
        f"kept.{k}": v for k, v in kept.state_dict().items()
    }


def assert_same_bits(mine: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> None:
    assert mine.keys() == theirs.keys()
    assert not [name for name in mine if not torch.equal(mine[name].nan_to_num(-9), theirs[name].nan_to_num(-9))]


# --- embedding by stream ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoders", KINDS)
def test_every_view_goes_to_the_encoder_and_head_of_its_stream(encoders: str) -> None:
    """Also where views of one shape go through a part together, and where one is of another length."""
    batch = batch_of(alike=encoders == "shared")
    method = method_of("tiny", encoders, batch).double().eval()
    views = {f"{name}/left": s for name, s in batch.items()} | {f"{name}/right": s for name, s in batch.items()}
    views["hip"] = batch["hip"].steps(3, 11)
    made = method.embed(views)
    assert list(made) == list(views)
    for name, view in views.items():
        encoder, head = method.encoder, method.head
        if encoders == "each":
            encoder, head = encoder.of(name.split("/")[0]), head.of(name.split("/")[0])
        torch.testing.assert_close(made[name].steps, encoder(view).steps)
        torch.testing.assert_close(made[name].pooled, head(encoder(view).pooled))
        assert made[name].series is view


def test_views_of_one_part_and_shape_go_through_it_at_once() -> None:
    batch, asked = batch_of(), []
    method = method_of("tiny", "shared", batch).double()
    method.encoder.register_forward_hook(lambda module, given, out: asked.append(len(given[0])))
    method.embed({f"{name}/{side}": s for name, s in batch.items() for side in ("left", "right")})
    assert asked == [6 * ROWS]


def test_a_stream_without_a_part_is_named() -> None:
    encoders = Each({"wrist": ENCODER.build(3, 20), "left.hip": ENCODER.build(2, 20)})
    assert encoders.features == 8 and encoders.of("left.hip") is encoders.parts[1]
    with pytest.raises(InputError, match=r"wrist, left\.hip, got 'wrst'; did you mean 'wrist'"):
        encoders.of("wrst")
    wider = Each({"wrist": ENCODER.build(3, 20), "hip": Dilated(hidden=4, depth=2, features=5).build(3, 20)})
    assert width(wider, "hip") == 5
    with pytest.raises(InputError, match="of one width"):
        _ = wider.features


def test_a_batch_has_the_same_rows_of_every_stream() -> None:
    batch = batch_of()
    assert as_batch(batch) is batch
    with pytest.raises(ValueError, match="same rows of every stream"):
        as_batch(batch | {"hip": batch["hip"].rows(slice(1, None))})
    with pytest.raises(ValueError, match="no stream"):
        as_batch({})


def test_miners_are_shown_all_channels_side_by_side() -> None:
    batch = batch_of(alike=False)
    joined = side_by_side(batch)
    assert joined.values.shape == (ROWS, 3 + 2 + 1, TIME)
    assert torch.equal(joined.values[:, 3:5, :18], batch["hip"].values)
    assert not joined.observed[:, 3:5, 18:].any() and not joined.observed[1, 3:5].any()
    assert joined.extent.all()
    assert side_by_side({"series": batch["hip"]}) is batch["hip"]


# --- training -----------------------------------------------------------------------------------------------------

CASES = [(name, kind, mined) for name in METHODS for kind in KINDS for mined in (False, True)]


@pytest.mark.parametrize(("name", "encoders", "mined"), CASES)
def test_methods_of_several_streams_train_and_resume_bit_for_bit(
    name: str, encoders: str, mined: bool, tmp_path: Path
) -> None:
    batch, held = (batch_of(n, seed, encoders == "shared") for n, seed in ((ROWS, 0), (7, 1)))
    settings = Training(steps=9, batch_size=5, log_every=3, validate_every=4)
    first = method_of(name, encoders, batch, mined=mined)
    before = {key: value.clone() for key, value in first.state_dict().items()}
    kept, history = train(first, batch, settings, seed=3, validation=held)
    assert all(np.isfinite(value) for line in history for value in line.values())
    still = [key for key, p in first.named_parameters() if p.requires_grad and torch.equal(p, before[key].to(p.dtype))]
    assert not still, "parameters that nothing moves"
    if mined:
        assert any(bool((v != before[k]).any()) for k, v in first.state_dict().items() if k.endswith("total"))
    asked = iter(range(1, 100))
    with pytest.raises(Interrupted):
        train(
            method_of(name, encoders, batch, mined=mined),
            batch,
            settings,
            seed=3,
            validation=held,
            directory=tmp_path,
            stopping=lambda: next(asked) >= 4,
        )
    again = method_of(name, encoders, batch, seed=1, mined=mined)
    resume = tmp_path / "checkpoint.safetensors"
    theirs, line = train(again, batch, settings, seed=3, validation=held, resume=resume)
    assert_same_bits(contents(again, theirs), contents(first, kept))
    assert line == history


def test_a_run_does_not_go_on_with_another_stream(tmp_path: Path) -> None:
    batch = batch_of()
    settings = Training(steps=2, batch_size=4, checkpoint_every=2)
    train(method_of("tiny", "shared", batch), batch, settings, directory=tmp_path)
    other = batch | {"ankle": batch["hip"]}
    with pytest.raises(InputError, match="expected the data of the run"):
        train(method_of("tiny", "shared", other), other, settings, resume=tmp_path / "checkpoint.safetensors")


# --- from data to a model -----------------------------------------------------------------------------------------


def streams_of(alike: bool = True) -> tsrep.Streams:
    """The batch as a user holds it: NaN where nothing was observed, classes and subjects."""
    made = {}
    for name, series in batch_of(alike=alike).items():
        values = series.values.masked_fill(~series.observed, torch.nan).float().numpy()
        made[name] = tsrep.Panel(values, rate=10.0, label=np.arange(ROWS) % 2, subject=np.arange(ROWS) // 4)
    return tsrep.Streams(made)


def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny method among those that a plan may name."""
    known = registry.choices("methods")
    rooms = {"methods": {**known, "tiny": Tiny}}
    choices = registry.choices
    monkeypatch.setattr(registry, "choices", lambda room: rooms.get(room) or choices(room))


SMALL = {"name": "dilated", "hidden": 6, "depth": 2, "features": 8}
SHORT = {"steps": 3, "batch_size": 5, "precision": "float32"}


@pytest.mark.parametrize("encoders", KINDS)
@pytest.mark.parametrize("name", METHODS)
def test_what_is_learned_of_several_streams_saves_loads_and_embeds_any_of_them(
    name: str, encoders: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered(monkeypatch)
    data = streams_of(alike=encoders == "shared")
    model = tsrep.fit(
        data, method=name, encoder=SMALL, encoders=encoders, training=SHORT, mining=BAD_PAIRS, out=tmp_path / "run"
    )
    again = tsrep.load(tmp_path / "run")
    assert again.plan == model.plan and list(again.streams) == list(STREAMS)
    by_stream = again.embed_streams(data)
    for stream, made in by_stream.items():
        assert list(np.flatnonzero(np.isnan(made).any(axis=1))) == [row for row, s in ABSENT if s == stream]
        here = data.present[stream]
        np.testing.assert_array_equal(made, model.embed_streams(data)[stream])
        one = again.of(stream)
        np.testing.assert_allclose(one.embed(data[stream].rows(here)), made[here], atol=1e-6)
    one.save(tmp_path / "one")
    np.testing.assert_allclose(tsrep.load(tmp_path / "one").embed(data["ankle"].rows(here)), made[here], atol=1e-6)
    whole = again.embed(data)
    assert whole.shape == (ROWS, model.features) and np.isfinite(whole).all()
    two = again.embed(tsrep.Streams({s: data[s].rows([0, 3, 5]) for s in ("ankle", "wrist")}))
    stacked = [by_stream[s][[0, 3, 5]] for s in ("wrist", "hip", "ankle")]
    if encoders == "shared":
        np.testing.assert_allclose(two, (stacked[0] + stacked[2]) / 2, atol=1e-6)
    else:
        np.testing.assert_allclose(two, np.concatenate([stacked[0], 0 * stacked[1], stacked[2]], axis=1), atol=1e-6)
        np.testing.assert_array_equal(whole[4, 8:], 0)
    text = (tmp_path / "run" / "README.md").read_text()
    assert all(f"Stream `{stream}`" in text for stream in STREAMS)
    assert tsrep.untrained(again, 1).embed(data).shape == whole.shape


def test_one_encoder_may_be_of_another_kind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    registered(monkeypatch)
    data = streams_of(alike=False)
    words = {"hip": {"name": "causal", "hidden": 4, "depth": 2, "features": 5}, "ankle": "dilated"}
    model = tsrep.fit(data, method="tiny", encoder=SMALL, encoders=words, training=SHORT)
    assert model.features == 8 + 5 + planning.make({"encoder": "dilated"})[0].encoder.features
    model.save(tmp_path / "m")
    np.testing.assert_array_equal(tsrep.load(tmp_path / "m").embed(data), model.embed(data))
    assert planning.make(plan.to_dict(model.plan))[0] == model.plan
    made, _ = planning.make(
        {"method": "tiny"}, ["encoders.hip=causal", "encoders.hip.depth=3", "data.streams=[hip, wrist]"]
    )
    assert type(made.encoders["hip"]).__name__ == "Causal" and made.encoders["hip"].depth == 3
    assert made.data.streams == ("hip", "wrist")


def test_a_method_of_one_stream_learns_from_the_rows_of_all() -> None:
    data = streams_of()
    model = tsrep.fit(data, method="simclr", encoder=SMALL, training=SHORT, mining=BAD_PAIRS)
    made, _ = planning.make({"method": "simclr", "encoder": SMALL, "data": {"streams": "all"}})
    prepared = tsrep.prepare(data, made)
    assert prepared.train.values.shape == (3 * ROWS - len(ABSENT), CHANNELS, TIME) and prepared.train.present.all()
    assert prepared.shape.rows == len(prepared.train) == len(prepared.shape.subject)
    assert torch.equal(prepared.shape.subject[:5], torch.tensor([0, 0, 0, 0, 1]))
    assert len(model.suspects.table()) == len(prepared.train)
    assert model.embed(data).shape == (ROWS, 8)


def test_scaling_is_of_each_stream_and_of_the_training_part_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    registered(monkeypatch)
    data = streams_of()
    made, _ = planning.make(
        {"method": "tiny", "encoder": SMALL, "data": {"streams": "all"}, "training": {"validation": 0.3}}
    )
    prepared = tsrep.prepare(data, made)
    rows = len(prepared.train["hip"])
    assert rows + len(prepared.validation["hip"]) == ROWS and prepared.shape.streams[1].name == "hip"
    for series in prepared.train.values():
        torch.testing.assert_close(series.values[series.observed].mean(), torch.tensor(0.0), atol=1e-5, rtol=0)
        assert bool(series.extent[~series.present].all())
    seen = prepared.shape.subject
    assert seen.dtype == torch.int64 and int(seen.max()) + 1 == len(seen.unique()) < 4


JOINTS = tuple(f"{joint}_{axis}" for joint in ("hip_center", "shoulder_center", "left_hand") for axis in "xyz")


def test_every_stream_may_be_scaled_in_a_way_of_its_own_which_its_model_keeps(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    registered(monkeypatch)
    wrist = streams_of()["wrist"]
    body = np.random.default_rng(3).standard_normal((ROWS, 9, TIME)).astype(np.float32)
    data = {"wrist": wrist, "skeleton": tsrep.Panel(body, JOINTS, rate=wrist.rate)}
    model = tsrep.fit(
        data, method="tiny", encoder=SMALL, encoders="each", training=SHORT, data={"scaling": {"skeleton": "torso"}}
    )
    assert max(model.streams["wrist"].scaler.mean) != 0 and model.streams["skeleton"].scaler.scale == (1.0,) * 9
    model.save(tmp_path / "m")
    again = tsrep.load(tmp_path / "m")
    elsewhere = {
        "skeleton": 1.7 * body + np.array([3.0, -1.0, 2.0] * 3, np.float32)[:, None]
    }  # taller, at another place
    expected = again.embed_streams(data)["skeleton"]
    np.testing.assert_allclose(again.embed_streams(elsewhere)["skeleton"], expected, atol=1e-4)
    assert expected.std(axis=0).max() > 1e-2
    one = again.of("skeleton")
    one.save(tmp_path / "one")
    assert one.plan.data.scaling == "torso" and again.of("wrist").plan.data.scaling == "each"
    served = tsrep.load(tmp_path / "one")
    np.testing.assert_allclose(served.embed(elsewhere["skeleton"]), expected, atol=1e-4)
    assert (
        "Scaling: `wrist` every channel to mean 0" in again.card()
        and "`skeleton` every frame about the hips" in again.card()
    )
    assert "Scaling: every frame about the hips" in served.card()


WRONG = [
    ({"method": "simclr", "data": {"scaling": {"hip": "one"}}}, "expected one word for data.scaling"),
    (
        {"method": "tiny", "data": {"streams": "all", "scaling": {"hop": "one"}}},
        "no stream 'hop' .* did you mean 'hip'",
    ),
    ({"method": "tiny", "data": {"streams": "all", "scaling": {"hip": "two"}}}, "plan key 'data.scaling'.*'two'"),
    (
        {"method": "tiny", "encoders": "each", "data": {"streams": "all", "scaling": "torso"}},
        "channels that are joints",
    ),
    ({"method": "tiny", "data": {"streams": ["hip"]}}, "expected at least 2 streams for the method 'tiny', got 1"),
    ({"method": "tiny", "data": {"streams": ["hip", "wirst"]}}, "no stream 'wirst' in the data; did you mean 'wrist'"),
    ({"method": "simclr", "encoders": "each", "data": {"streams": "all"}}, "expected encoders=shared for 'simclr'"),
    ({"method": "simclr", "encoders": "each"}, "expected several streams for encoders=each"),
    ({"method": "tiny", "encoders": "some"}, "expected encoders to be shared or each"),
    ({"method": "tiny", "encoders": {"hop": "causal"}, "data": {"streams": "all"}}, "no stream 'hop' in the data"),
    ({"method": "tiny", "data": {"streams": "all"}}, "expected streams of the same channels for one shared encoder"),
    ({"method": "simclr", "data": {"steps": 20}}, "expected several streams .data.streams. to align"),
    ({"method": "tiny", "data": {"stream": "hip", "streams": "all"}}, "expected data.stream for one stream or"),
    ({"method": "tiny", "data": {"streams": "all", "align": "place"}}, "plan key 'data.align'"),
]


@pytest.mark.parametrize(("content", "said"), WRONG)
def test_what_cannot_be_learned_from_several_streams_is_said_before_any_work(
    content: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered(monkeypatch)
    data = streams_of(alike=False)

    def begun() -> None:
        made, _ = planning.make(content | {"encoder": SMALL})
        given: Any = data if made.data.streams else data["wrist"].rows([0, 1, 2])
        tsrep.prepare(preparing.source(made.data, given)[0], made)

    with pytest.raises(InputError, match=said):
        begun()


def test_a_method_of_several_streams_asks_for_all_of_them_and_refuses_a_panel(monkeypatch: pytest.MonkeyPatch) -> None:
    registered(monkeypatch)
    made, _ = planning.make({"method": "tiny", "encoder": SMALL, "data": {"steps": 20}})
    assert (made.data.streams, made.data.steps) == ("all", 20)
    with pytest.raises(InputError, match="expected at least 2 streams for the method 'tiny', got one stream"):
        tsrep.prepare(streams_of()["wrist"].rows([0, 1, 2]), made)


def test_a_model_says_which_streams_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    registered(monkeypatch)
    data = streams_of()
    model = tsrep.fit(data, method="tiny", encoder=SMALL, training=SHORT)
    with pytest.raises(InputError, match="no stream 'hop' in this model; did you mean 'hip'"):
        model.embed({"hop": data["hip"].rows([0])})
    with pytest.raises(InputError, match=r"1 of 2 rows hold no observed value in any stream \(rows 1\)"):
        model.embed({"hip": data["hip"].rows([0, 1])})
    with pytest.raises(InputError, match="column stream"):
        model.embed(data["hip"].values)
    with pytest.raises(InputError, match="use embed_streams"):
        model.embed(data, "steps")
    steps = model.embed_streams({"hip": data["hip"].rows([0, 2])}, "steps")["hip"]
    assert steps.shape == (2, 8, TIME)
    assert model.embed(data, "rich").shape == (ROWS, 32)


# --- evaluation ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoders", KINDS)
def test_a_model_of_several_streams_is_measured_within_across_and_without_each(
    encoders: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered(monkeypatch)
    data = streams_of(alike=encoders == "shared")
    train, test = data.rows(slice(0, 8)), data.rows(slice(8, None))
    model = tsrep.fit(train, method="tiny", encoder=SMALL, encoders=encoders, training=SHORT, out=tmp_path / "run")
    found = tsrep.evaluate_streams(model, (train, test), probes=("knn1",), shares=(1.0, 0.5), seeds=2)
    told = found.table
    assert set(told["method"]) == {"tiny", "random encoder"} and set(told["seed"]) == {0, 1}
    places = {text.split(", ")[0] for text in told["features"]}
    alone = {*STREAMS, "within (mean)", "all", *(f"without {s}" for s in STREAMS)}
    crossed = {f"{a} → {b}" for a in STREAMS for b in STREAMS if a != b}
    assert places == alone | {f"retrieval {pair}" for pair in (*crossed, "all pairs (mean)")} | (
        {*crossed, "across (mean)", "all side by side"} if encoders == "shared" else set()
    )
    assert {"accuracy", "macro F1", "top-1", "mean rank"} == set(told["metric"])
    assert told["features"].str.endswith("50 % of labels").any()
    assert len(told) == len(told[["method", "seed", "features", "metric"]].drop_duplicates())
    tsrep.keep_results(model, found, tmp_path / "run")
    card = (tmp_path / "run" / "README.md").read_text()
    assert "What a missing stream costs" in card and "- without hip (knn1): accuracy" in card
    assert "wrist → hip" not in card and "retrieval all pairs (mean)" in card


def test_subjects_are_left_out_in_turn_by_models_that_never_saw_them(monkeypatch: pytest.MonkeyPatch) -> None:
    registered(monkeypatch)
    data = streams_of()
    model = tsrep.fit(data, method="tiny", encoder=SMALL, training=SHORT)
    said: list[str] = []
    found = tsrep.evaluate_streams(model, data, folds=2, probes=("knn1",), shares=(1.0,), progress=said.append)
    assert "trained again" in said[0] and said[1:] == ["seed 0, fold 1 of 2", "seed 0, fold 2 of 2"]
    assert np.isfinite(found.table["value"]).all()
    alone = tsrep.evaluate_streams(model, {s: data[s] for s in ("wrist", "hip")}, probes=("knn1",), shares=(1.0,))
    assert not alone.table["features"].str.contains("ankle").any()
    with pytest.raises(InputError, match="expected 2 to 4 folds"):
        tsrep.evaluate_streams(model, data, folds=9)
    with pytest.raises(InputError, match="shares of labels above 0 and up to 1"):
        tsrep.evaluate_streams(model, data, shares=(2.0,))
    with pytest.raises(InputError, match="this one knows one"):
        tsrep.evaluate_streams(model.of("hip"), data)


# --- workers ------------------------------------------------------------------------------------------------------


def trained(name: str, encoders: str, mined: bool) -> dict[str, Tensor]:
    batch = batch_of(13, alike=encoders == "shared")
    held = batch_of(5, 1, encoders == "shared")
    method = method_of(name, encoders, batch, mined=mined)
    settings = Training(steps=5, batch_size=5, validate_every=2, precision="float64", log_every=1)
    kept, history = train(method, batch, settings, validation=held)
    losses = {k: torch.tensor([line.get(k, 0.0) for line in history]).double() for k in history[-1] if "loss" in k}
    return {k: v.double().nan_to_num(-9.0) for k, v in contents(method, kept).items()} | losses


def work(folder: Path, rank: int) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    found = {f"{'/'.join(map(str, case))}:{k}": v for case in CASES for k, v in trained(*case).items()}
    save_file({k: v.contiguous() for k, v in found.items()}, folder / f"{rank}.safetensors")
    dist.barrier()
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Tensor]]:
    """What each of two workers found."""
    folder = tmp_path_factory.mktemp("workers")
    command, environment = [sys.executable, __file__, str(folder)], os.environ | {"OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen([*command, str(rank)], env=environment, stderr=subprocess.PIPE, text=True) for rank in (0, 1)
    ]
    try:
        for worker in started:
            said = worker.communicate(timeout=200)[1]
            assert worker.returncode == 0, said
    finally:
        for worker in started:
            worker.kill()
    return [load_file(folder / f"{rank}.safetensors") for rank in (0, 1)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: "/".join(map(str, case)))
def test_two_workers_end_with_the_weights_and_memories_of_one(
    case: tuple[str, str, bool], workers: list[dict[str, Tensor]]
) -> None:
    alone = trained(*case)
    begin = "/".join(map(str, case)) + ":"
    for found in workers:
        theirs = {key.removeprefix(begin): value for key, value in found.items() if key.startswith(begin)}
        assert theirs.keys() == alone.keys()
        assert max(float((theirs[key] - alone[key]).abs().max()) for key in alone) < 1e-8


if __name__ == "__main__":
    work(Path(sys.argv[1]), int(sys.argv[2]))
