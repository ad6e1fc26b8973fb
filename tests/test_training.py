"""The loop: exact resume from anywhere, exact bits from a seed, and no number that is silently wrong."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Generator, Tensor, nn

import tsrep
from tsrep import randomness, training
from tsrep.encoders.dilated import Dilated
from tsrep.errors import InputError
from tsrep.fitting import build
from tsrep.memory import Step
from tsrep.method import DataShape, Method, Phase, Term
from tsrep.pairs import Alone, Gather, Pairs
from tsrep.series import STREAM, Batch, Embedding, Series, Views
from tsrep.training import Interrupted, Observer, Training, train
from tsrep.views import chain
from tsrep.views.two import Two

ENCODER = {"name": "dilated", "hidden": 6, "depth": 3, "features": 8}
ROWS, CHANNELS, TIME = 22, 2, 15


def data(n: int = ROWS, seed: int = 0) -> Series:
    """Ragged, with a hole."""
    values = torch.from_numpy(np.random.default_rng(seed).standard_normal((n, CHANNELS, TIME)))
    values[0, :, 9:], values[1, 1, 3:6] = float("nan"), float("nan")
    return Series.of(values)


# --- a method with everything that can be forgotten ---------------------------------------------------------------


class Queue(nn.Module):
    """Negatives of earlier steps; shuffled, and told the number, after every epoch."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("held", torch.ones(10, features))
        self.register_buffer("epochs", torch.zeros((), dtype=torch.int64))

    def __call__(self, embeddings: Mapping[str, Embedding], gather: Gather) -> list[Pairs]:
        left, right = embeddings["left"].pooled.float(), embeddings["right"].pooled.float()
        score = left @ torch.cat([right, self.held.float()]).T
        attract = torch.eye(*score.shape)
        return [Pairs(score, attract, 1 - attract, score.new_full((1,), 1 / len(left)), embeddings["left"].series.row)]

    def after_step(self, step: Step) -> None:
        if step.phase == "contrast":
            self.held.copy_(torch.cat([step.embeddings["right"].pooled.to(self.held.dtype), self.held])[:10])

    def after_epoch(self, epoch: int) -> None:
        self.epochs.fill_(epoch)
        self.held.copy_(self.held.flip(0))


class Teacher(nn.Module):
    """A slow copy of the encoder that moves after each step; an objective that pairs do not fit."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.slow, self.fast = deepcopy(encoder).requires_grad_(False).eval(), [encoder]

    def forward(self, views: Views, embeddings: Mapping[str, Embedding], gather: Gather) -> Tensor:
        with torch.no_grad():
            target = self.slow(views["right"]).pooled
        return (embeddings["left"].pooled - target).square().mean()

    @torch.no_grad()
    def after_step(self, step: Step) -> None:
        for slow, fast in zip(self.slow.parameters(), self.fast[0].parameters(), strict=True):
            slow.lerp_(fast, 0.1)


class Guess(nn.Module):
    """Parameters of a second phase: learns the mean embedding."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(features))

    def forward(self, views: Views, embeddings: Mapping[str, Embedding], gather: Gather) -> Tensor:
        return (self.mean - embeddings["left"].pooled.detach()).square().mean()


def remembering(seed: int = 0) -> Method:
    """Two phases, the first every second step, with a queue, a slow copy, a head with dropout and a batch norm."""
    torch.manual_seed(seed)
    encoder = Dilated(hidden=6, depth=3, features=8, dropout=0.2).build(CHANNELS, TIME)
    head = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Dropout(0.2))
    guess = Guess(8)
    phases = (
        Phase("guess", (guess,), {"mean": guess}, every=2),
        Phase("contrast", (encoder, head), {"queue": Term(Queue(8)), "teacher": Teacher(encoder)}),
    )
    return Method("remembering", Two(chain(["jitter", "time_warp"])), encoder, phases, head)


def named(name: str) -> Callable[[int], Method]:
    def made(seed: int = 0) -> Method:
        plan, _ = tsrep.make_plan({"method": {"name": name}, "encoder": ENCODER, "seed": seed})
        return build(plan, DataShape(ROWS, ("a", "b"), TIME))

    return made


def stopper(after: int) -> Callable[[], bool]:
    """True from the `after`-th time it is asked."""
    asked = iter(range(1, 10_000))
    return lambda: next(asked) >= after


def contents(method: Method, kept: nn.Module) -> dict[str, Tensor]:
    return {f"method.{k}": v for k, v in method.state_dict().items()} | {
        f"kept.{k}": v for k, v in kept.state_dict().items()
    }


def assert_same_bits(mine: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> None:
    assert mine.keys() == theirs.keys()
    different = [name for name in mine if not torch.equal(mine[name], theirs[name])]
    assert not different


# --- resume -------------------------------------------------------------------------------------------------------

SETTINGS = {
    "plain": {},
    "accumulated": {"accumulate": 3},
    "mean of the weights": {"average": "mean", "precision": "float64"},
    "moving mean, cosine, clipped": {
        "average": "moving",
        "decay": 0.8,
        "schedule": "cosine",
        "warmup": 4,
        "clip": 0.05,
    },
    "validated": {"validate_every": 2, "patience": 5, "average": "mean", "learning_rate": 0.05},
    "bfloat16": {"precision": "bfloat16"},
}


@pytest.mark.parametrize("stops", [(1,), (7, 3)], ids=str)
@pytest.mark.parametrize("setting", SETTINGS)
def test_a_run_that_was_stopped_and_resumed_equals_an_unbroken_one(
    setting: str, stops: tuple[int, ...], tmp_path: Path
) -> None:
    """Five batches an epoch: stops after steps 1, 7 and 10 of 13 lie inside an epoch, at its end, and after an odd step."""
    settings = Training(steps=13, batch_size=4, log_every=3, checkpoint_every=100, **SETTINGS[setting])
    held = data(7, seed=1) if setting == "validated" else None
    whole = remembering()
    kept, history = train(whole, data(), settings, seed=5, validation=held, directory=tmp_path / "whole")
    resume = None
    for part, after in enumerate(stops):
        begun = remembering(seed=99 * part)  # what is resumed brings its own weights
        with pytest.raises(Interrupted, match="tsrep resume"):
            train(
                begun,
                data(),
                settings,
                seed=5,
                validation=held,
                directory=tmp_path,
                resume=resume,
                stopping=stopper(after),
            )
        resume = tmp_path / "checkpoint.safetensors"
    again = remembering(seed=77)
    theirs, line = train(again, data(), settings, seed=5, validation=held, directory=tmp_path, resume=resume)
    assert_same_bits(contents(again, theirs), contents(whole, kept))
    assert line == history
    assert (tmp_path / "history.jsonl").read_text() == (tmp_path / "whole" / "history.jsonl").read_text()
    # and the parts with a memory did something
    fresh = remembering().state_dict()
    for name, tensor in whole.state_dict().items():
        if name.endswith(("held", "epochs", "slow.project.weight", "mean", "project.weight")):
            assert not torch.equal(tensor, fresh[name].to(tensor.dtype)), name
    steps = int(history[-1]["step"])
    assert steps == (12 if setting == "validated" else 13)  # the best look was the first, and five more brought nothing
    assert (
        int(next(v for k, v in whole.state_dict().items() if k.endswith("epochs"))) == steps * settings.accumulate // 5
    )


@pytest.mark.parametrize("name", ["simclr", "ts2vec"])
def test_methods_resume_bit_for_bit(name: str, tmp_path: Path) -> None:
    settings = Training(steps=9, batch_size=4, average="mean")
    whole = named(name)(0)
    kept, _ = train(whole, data(), settings, seed=3)
    with pytest.raises(Interrupted):
        train(named(name)(0), data(), settings, seed=3, directory=tmp_path, stopping=stopper(4))
    again = named(name)(1)
    theirs, _ = train(again, data(), settings, seed=3, resume=tmp_path / "checkpoint.safetensors")
    assert_same_bits(contents(again, theirs), contents(whole, kept))


def test_resuming_a_finished_run_changes_nothing(tmp_path: Path) -> None:
    settings = Training(steps=4, batch_size=4, checkpoint_every=4)
    first = remembering()
    kept, history = train(first, data(), settings, directory=tmp_path)
    again = remembering(seed=8)
    theirs, line = train(again, data(), settings, resume=tmp_path / "checkpoint.safetensors")
    assert_same_bits(contents(again, theirs), contents(first, kept))
    assert line == history


def test_checkpoints_hold_tensors_and_json_alone(tmp_path: Path) -> None:
    train(remembering(), data(), Training(steps=4, batch_size=4, checkpoint_every=3), directory=tmp_path)
    path = tmp_path / "checkpoint.safetensors"
    with safe_open(path, framework="pt") as file:
        numbers = json.loads(file.metadata()["numbers"])
    assert numbers["step"] == 3
    prefixes = {name.split(".")[0] for name in load_file(path)}
    assert prefixes == {"method", "kept", "optimizer"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint.safetensors", "history.jsonl"]


def test_other_peoples_and_damaged_checkpoints_are_refused(tmp_path: Path) -> None:
    settings = Training(steps=3, batch_size=4, checkpoint_every=3)
    train(remembering(), data(), settings, directory=tmp_path)
    path = tmp_path / "checkpoint.safetensors"
    with pytest.raises(InputError, match="this method and encoder"):
        train(named("ts2vec")(0), data(), settings, resume=path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="damaged or foreign"):
        train(remembering(), data(), settings, resume=path)
    save_file({"a": torch.zeros(2)}, path)
    with pytest.raises(InputError, match="damaged or foreign"):
        train(remembering(), data(), settings, resume=path)
    path.unlink()
    with pytest.raises(InputError, match="damaged or foreign"):
        train(remembering(), data(), settings, resume=path)


# --- seeds --------------------------------------------------------------------------------------------------------


def test_the_seed_decides_every_bit() -> None:
    X = data().values.float().numpy()
    settings = {"method": "simclr", "encoder": ENCODER, "training": {"steps": 4, "batch_size": 4}}
    first, same, other = (tsrep.fit(X, seed=seed, **settings) for seed in (1, 1, 2))
    assert_same_bits(first.encoder.state_dict(), same.encoder.state_dict())
    assert first.history == same.history
    assert np.array_equal(first.embed(X), same.embed(X))
    assert all(
        not torch.equal(a, b) for a, b in zip(first.encoder.parameters(), other.encoder.parameters(), strict=True)
    )
    assert first.history != other.history


def test_the_seed_of_order_views_and_dropout_matters_by_itself() -> None:
    """From the same weights."""
    runs = [contents(*_trained(remembering(), seed=seed)) for seed in (0, 0, 1)]
    assert_same_bits(runs[0], runs[1])
    assert not torch.equal(runs[0]["kept.project.weight"], runs[2]["kept.project.weight"])


def _trained(method: Method, **more: object) -> tuple[Method, nn.Module]:
    return method, train(method, data(), Training(steps=3, batch_size=4), **more)[0]


def test_fit_leaves_global_random_states_alone() -> None:
    import random

    torch.manual_seed(42)
    np.random.seed(42)  # noqa: NPY002 - the state that must not move
    random.seed(42)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    tsrep.fit(
        data().values.float().numpy(),
        method="simclr",
        encoder=ENCODER,
        training={"steps": 2, "batch_size": 4, "validation": 0.2},
    )
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
    assert random.getstate() == before[2]


def test_what_stands_in_the_global_state_does_not_matter() -> None:
    torch.manual_seed(1)
    method = remembering()
    first = contents(*_trained(deepcopy(method)))
    torch.manual_seed(2)
    assert_same_bits(contents(*_trained(deepcopy(method))), first)


def test_draws_for_two_purposes_share_no_numbers() -> None:
    places = [(0, purpose, number) for purpose in range(5) for number in range(20)] + [
        (1, 1, 0),
        (0, 2, 3, 1),
        (0, 3, 3, 1),
    ]
    assert len({randomness.number(*place) for place in places}) == len(places)


# --- signals ------------------------------------------------------------------------------------------------------

TINY = {"hidden": 8, "depth": 3, "features": 8}


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "tsrep", *map(str, words)]


@pytest.fixture(scope="module")
def waves_on_disk(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tsrep.Model]:
    """A file to learn from, and the model of an unbroken run."""
    path = tmp_path_factory.mktemp("data") / "waves.npy"
    np.save(path, np.random.default_rng(0).standard_normal((24, 2, 32)).astype(np.float32))
    return path, tsrep.fit(
        path, encoder={"name": "dilated", **TINY}, training={"steps": 120, "batch_size": 8, "checkpoint_every": 5}
    )


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_exits_and_resume_ends_with_the_same_weights(
    signum: signal.Signals, waves_on_disk: tuple[Path, tsrep.Model], tmp_path: Path
) -> None:
    path, whole = waves_on_disk
    out = tmp_path / "run"
    encoder = [f"encoder.{name}={value}" for name, value in TINY.items()]
    words = ["training.steps=120", "training.batch_size=8", "training.checkpoint_every=5", *encoder]
    run = subprocess.Popen(
        command("fit", *words, "--data", path, "--out", out, "--quiet"),
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        begun = time.monotonic()
        while not (out / "checkpoint.safetensors").exists():
            assert run.poll() is None and time.monotonic() - begun < 60, run.communicate()[1]
            time.sleep(0.002)
        run.send_signal(signum)
        _, said = run.communicate(timeout=60)
    finally:
        run.kill()
    assert run.returncode == 128 + signum, said
    assert signum.name in said and "tsrep resume" in said
    assert "Traceback" not in said
    assert sorted(p.name for p in out.iterdir()) == ["checkpoint.safetensors", "plan.yaml"]
    if signum == signal.SIGTERM:
        subprocess.run(command("resume", out, "--quiet"), check=True, capture_output=True)
        model = tsrep.load(out)
    else:
        model = tsrep.resume(out)
    assert_same_bits(model.encoder.state_dict(), whole.encoder.state_dict())
    assert model.history == whole.history
    assert not (out / "checkpoint.safetensors").exists()
    assert np.array_equal(tsrep.resume(out).check, whole.check)  # a finished run is loaded


def test_signal_handlers_are_put_back_and_without_a_folder_nothing_is_saved() -> None:
    before = signal.getsignal(signal.SIGTERM)

    class Kill(Observer):
        def step(self, step: int, values: Mapping[str, float]) -> None:
            if step == 2:
                os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted, match="SIGTERM: nothing was saved") as caught:
        train(remembering(), data(), Training(steps=50, batch_size=4), observers=[Kill()])
    assert caught.value.signum == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before


# --- numbers that must not be silent ------------------------------------------------------------------------------


def broken(row: int, at: int) -> tuple[Method, list[list[int]]]:
    """A method whose loss is infinite for one row from a step on, and the batches it saw."""
    batches: list[list[int]] = []

    class Bad(nn.Module):
        def forward(self, views: Views, embeddings: Mapping[str, Embedding], gather: Gather) -> Tensor:
            batches.append(views["left"].row.tolist())
            loss = embeddings["left"].pooled.square().mean()
            return loss / 0.0 if len(batches) >= at and row in batches[-1] else loss

    torch.manual_seed(0)
    encoder = Dilated(hidden=4, depth=2, features=4).build(CHANNELS, TIME)
    return Method("made", Two(()), encoder, (Phase("sole", (encoder,), {"bad": Bad()}),)), batches


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_loss_that_is_not_finite_names_method_phase_step_and_rows(accumulate: int) -> None:
    method, batches = broken(row=3, at=4)
    before = deepcopy(method.state_dict())
    with pytest.raises(FloatingPointError) as caught:
        train(method, data(), Training(steps=60, batch_size=4, accumulate=accumulate, learning_rate=1e-9))
    step = -(-len(batches) // accumulate)
    text = str(caught.value)
    assert f"method 'made', phase 'sole', step {step} is inf" in text
    guilty = next(batch for batch in batches[3:] if 3 in batch)
    assert f"rows {guilty}" in text  # of the batches of a step the one that did it
    assert "clip" in text
    for name, tensor in method.state_dict().items():  # the step was not taken
        torch.testing.assert_close(tensor, before[name], rtol=1e-5, atol=1e-5)


def test_a_validation_loss_that_is_not_finite_is_an_error() -> None:
    class Late(nn.Module):
        def forward(self, views: Views, embeddings: Mapping[str, Embedding], gather: Gather) -> Tensor:
            loss = embeddings["left"].pooled.square().mean()
            return loss if self.training else loss * float("nan")

    torch.manual_seed(0)
    encoder = Dilated(hidden=4, depth=2, features=4).build(CHANNELS, TIME)
    method = Method("made", Two(()), encoder, (Phase("sole", (encoder,), {"late": Late()}),))
    with pytest.raises(FloatingPointError, match="validation loss of method 'made', step 2, is nan"):
        train(method, data(), Training(steps=6, batch_size=4, validate_every=2), validation=data(5, seed=1))


@pytest.mark.parametrize("device", ["nowhere", f"cuda:{torch.cuda.device_count()}"])
def test_a_device_that_is_not_here_is_bad_input(device: str) -> None:
    with pytest.raises(InputError, match=f"training.device.*{device}"):
        train(remembering(), data(), Training(steps=1, device=device))


# --- what a step does ---------------------------------------------------------------------------------------------


def test_the_loss_falls_on_data_with_something_to_learn(waves: tuple[np.ndarray, np.ndarray]) -> None:
    for method in ("simclr", "ts2vec"):
        history = tsrep.fit(
            waves[0],
            method=method,
            encoder=ENCODER,
            training={"steps": 60, "batch_size": 8, "learning_rate": 0.01, "log_every": 1},
        ).history
        loss = [line["loss/contrast"] for line in history]
        assert np.mean(loss[-15:]) < 0.85 * np.mean(loss[:5]), method


@pytest.mark.parametrize("name", ["simclr", "ts2vec"])
def test_bfloat16_trains_and_keeps_float32_weights(name: str) -> None:
    runs = {}
    for precision in ("bfloat16", "float32"):
        method = named(name)(0)
        kept, history = train(method, data(), Training(steps=5, batch_size=4, precision=precision, log_every=1))
        assert all(p.dtype == torch.float32 and p.isfinite().all() for p in kept.parameters())
        runs[precision] = [line["loss/contrast"] for line in history]
    assert runs["bfloat16"] == pytest.approx(runs["float32"], rel=0.1)
    assert runs["bfloat16"] != runs["float32"]


def views_of(method: Method, rows: Tensor, number: int, kind: torch.dtype = torch.float64) -> Views:
    batch: Batch = {STREAM: data().cast(kind).rows(rows)}
    return method.view(batch, randomness.generator(0, randomness.VIEWS, number, 0))


def test_accumulated_batches_make_one_step_on_the_mean_of_their_gradients() -> None:
    method = named("ts2vec")(0)
    method.encoder.dropout.p = 0.0  # type: ignore[union-attr]
    by_hand = deepcopy(method).double()
    settings = Training(steps=1, batch_size=4, accumulate=3, precision="float64", learning_rate=0.01)
    train(method, data(), settings)
    optimizer = torch.optim.AdamW(by_hand.encoder.parameters(), 0.01, weight_decay=0.01)
    order = training._order(ROWS, 0, 0)
    for number in range(3):
        views = views_of(by_hand, order[4 * number : 4 * number + 4], number)
        loss, _, _ = by_hand.loss(by_hand.phases[0], views, by_hand.embed(views), Alone())
        (loss / 3).backward()
    optimizer.step()
    for mine, theirs in zip(method.encoder.parameters(), by_hand.encoder.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_clipping_bounds_the_gradient_and_logs_what_it_was() -> None:
    free, bound = remembering(), remembering()
    settings = {"steps": 1, "batch_size": 4}
    train(free, data(), Training(**settings))
    _, history = train(bound, data(), Training(clip=0.01, **settings))
    norm, clipped = (
        torch.stack([p.grad.norm() for p in method.phases[1].parameters() if p.grad is not None]).norm().item()
        for method in (free, bound)
    )
    assert norm > 0.1
    assert clipped == pytest.approx(0.01, rel=1e-3)
    assert history[0]["gradient"] == pytest.approx(norm, rel=1e-4)


class Watch(Observer):
    """Keeps the encoder's weights after every step."""

    def __init__(self, method: Method) -> None:
        self.method, self.weights, self.calls = method, [], []

    def start(self, length: int, done: int) -> None:
        self.calls.append(("start", length, done))

    def step(self, step: int, values: Mapping[str, float]) -> None:
        self.weights.append({k: v.clone() for k, v in self.method.encoder.state_dict().items()})

    def saved(self, step: int, path: Path) -> None:
        self.calls.append(("saved", step, path.is_file()))

    def stop(self) -> None:
        self.calls.append(("stop", len(self.weights), 0))


@pytest.mark.parametrize("average", ["last", "mean", "moving"])
def test_kept_weights_are_the_average_that_was_asked_for(average: str) -> None:
    method = remembering()
    watch = Watch(method)
    settings = Training(steps=5, batch_size=4, average=average, decay=0.7, precision="float64", learning_rate=0.05)
    kept, _ = train(method, data(), settings, observers=[watch])
    assert not kept.training
    for name, tensor in kept.state_dict().items():
        steps = [weights[name] for weights in watch.weights]
        expected = steps[-1] if average == "last" else torch.stack(steps).mean(0)
        if average == "moving":
            expected = steps[0]
            for one in steps[1:]:
                expected = 0.7 * expected + 0.3 * one
        torch.testing.assert_close(tensor, expected)
        assert average == "last" or not torch.equal(tensor, steps[-1])


def test_observers_are_told_of_start_checkpoints_and_end(tmp_path: Path) -> None:
    method = remembering()
    watch = Watch(method)
    train(method, data(), Training(steps=5, batch_size=4, checkpoint_every=2), directory=tmp_path, observers=[watch])
    assert watch.calls == [("start", 5, 0), ("saved", 2, True), ("saved", 4, True), ("stop", 5, 0)]
    watch.calls.clear()
    train(
        method, data(), Training(steps=6, batch_size=4), resume=tmp_path / "checkpoint.safetensors", observers=[watch]
    )
    assert watch.calls[0] == ("start", 6, 4)


def test_a_phase_runs_in_its_turn_and_moves_its_parameters_alone() -> None:
    method = remembering()
    guess = method.phases[0].moves[0]
    means, encoders = [guess.mean.detach().clone()], []

    class Look(Observer):
        def step(self, step: int, values: Mapping[str, float]) -> None:
            means.append(guess.mean.detach().clone())
            encoders.append(method.encoder.project.weight.detach().clone())
            assert ("loss/guess" in values) == (step % 2 == 1)
            assert {"loss/contrast", "queue", "teacher", "rate"} <= values.keys()

    train(method, data(), Training(steps=6, batch_size=4, log_every=2), observers=[Look()])
    moved = [not torch.equal(a, b) for a, b in itertools.pairwise(means)]
    assert moved == [True, False, True, False, True, False]
    assert all(not torch.equal(a, b) for a, b in itertools.pairwise(encoders))


def test_an_early_stop_restores_the_best_weights() -> None:
    settings = {"batch_size": 4, "validate_every": 1, "patience": 3, "learning_rate": 0.03, "log_every": 1}
    held = data(6, seed=3)
    kept, history = train(named("simclr")(0), data(), Training(steps=60, **settings), validation=held)
    looks = [line["validation"] for line in history]
    best = int(np.argmin(looks)) + 1
    assert len(looks) == best + 3 < 60
    assert best > 1
    again, _ = train(named("simclr")(0), data(), Training(steps=best, **settings), validation=held)
    assert_same_bits(kept.state_dict(), again.state_dict())
    without, _ = train(named("simclr")(0), data(), Training(steps=best, **settings))
    assert_same_bits(kept.state_dict(), without.state_dict())  # looking changes nothing


def test_the_validation_loss_is_the_same_for_the_same_weights_and_counts_the_last_batch() -> None:
    """Learning at a rate of almost nothing: every look sees the same weights and the same views."""
    method = named("simclr")(0)
    _, history = train(
        method,
        data(),
        Training(steps=4, batch_size=4, validate_every=1, learning_rate=1e-12, log_every=1),
        validation=data(6, seed=3),
    )
    looks = [line["validation"] for line in history]
    assert looks == pytest.approx([looks[0]] * 4, rel=1e-6)
    losses = []
    for number, rows in enumerate((torch.arange(4), torch.arange(4, 6))):
        batch = {STREAM: data(6, seed=3).cast(torch.float32).rows(rows)}
        views = method.view(batch, randomness.generator(0, randomness.VALIDATION, number))
        method.eval()
        losses.append(method.loss(method.phases[0], views, method.embed(views), Alone())[0].item())
    assert looks[0] == pytest.approx((4 * losses[0] + 2 * losses[1]) / 6, rel=1e-5)


def test_history_has_a_line_for_every_few_steps_and_meters_are_asked_then(tmp_path: Path) -> None:
    asked = []

    def meter(embeddings: Mapping[str, Embedding]) -> dict[str, float]:
        asked.append(embeddings["left"].pooled.requires_grad)
        return {"width": float(embeddings["left"].pooled.shape[1])}

    settings = Training(steps=8, batch_size=4, log_every=3, schedule="cosine", warmup=2)
    _, history = train(remembering(), data(), settings, directory=tmp_path, meters=[meter])
    assert [line["step"] for line in history] == [3, 6, 8]
    assert [line["rate"] for line in history] == [settings.rate(step - 1, 8) for step in (3, 6, 8)]
    assert all(
        line["width"] == 8 and line["loss/contrast"] == pytest.approx(line["queue"] + line["teacher"])
        for line in history
    )
    assert asked == [False] * 3
    assert [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()] == history


def test_rates_rise_over_the_warm_up_and_fall_to_nothing() -> None:
    settings = Training(learning_rate=1.0, schedule="cosine", warmup=4)
    rates = [settings.rate(step, 20) for step in range(20)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert all(a > b for a, b in itertools.pairwise(rates[4:]))
    assert 0 < rates[-1] < 0.02
    assert settings.rate(20, 20) == pytest.approx(0, abs=1e-12)
    assert [Training(learning_rate=0.5, warmup=1).rate(step, 9) for step in (0, 1, 8)] == [0.25, 0.5, 0.5]


def test_the_number_of_steps_follows_from_steps_epochs_or_the_size_of_the_data() -> None:
    small, large = Series.of(torch.zeros(100, 2, 500)), Series.of(torch.zeros(101, 2, 500))
    assert [Training().length(d) for d in (small, large)] == [200, 600]
    assert Training(epochs=3, batch_size=16).length(small) == 18
    assert Training(epochs=3, batch_size=16, accumulate=4).length(small) == 4
    assert Training(epochs=1, batch_size=512).length(small) == 1
    assert Training(steps=7, epochs=3).length(small) == 7


@pytest.mark.parametrize(("n", "size"), [(22, 4), (16, 4), (3, 8)])
def test_an_epoch_sees_each_row_at_most_once_in_an_order_of_its_own(n: int, size: int) -> None:
    settings = Training(batch_size=size)
    count = settings.batches(n)
    epochs = [[training._rows(n, settings, 0, epoch * count + i).tolist() for i in range(count)] for epoch in range(3)]
    for batches in epochs:
        seen = [row for batch in batches for row in batch]
        assert len(seen) == len(set(seen)) == min(n, count * size)
        assert all(len(batch) == min(n, size) for batch in batches)
    assert epochs[0] != epochs[1] != epochs[2]
    assert training._rows(n, settings, 1, 0).tolist() != epochs[0][0]


def test_views_are_new_in_every_batch_and_phase() -> None:
    drawn = []

    def view(batch: Batch, generator: Generator) -> Views:
        drawn.append(torch.rand(3, generator=generator).tolist())
        return {"left": batch[STREAM], "right": batch[STREAM]}

    method = remembering()
    method.view = view
    train(method, data(), Training(steps=4, batch_size=4, accumulate=2))
    assert len(drawn) == 4 * 2 + 2 * 2
    assert len({tuple(d) for d in drawn}) == len(drawn)


def test_in_training_dropout_is_on_where_the_encoder_moves_and_a_small_data_set_is_one_batch() -> None:
    seen = []

    def view(batch: Batch, generator: Generator) -> Views:
        seen.append((len(batch[STREAM]), method.encoder.training))
        return {"left": batch[STREAM], "right": batch[STREAM]}

    method = remembering().eval()
    method.view = view
    train(method, data(5), Training(steps=2, batch_size=64))
    assert seen == [
        (5, False),
        (5, True),
        (5, True),
    ]  # the first phase, which is run every second step, moves the guess alone
