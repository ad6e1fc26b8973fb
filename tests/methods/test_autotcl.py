"""AutoTCL: what its phases move and how often, what is left of it without its parts, and that it finds what is relevant."""

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook

import tsrep
from tsrep import randomness
from tsrep.encoders.dilated import Dilated
from tsrep.method import DataShape, Method, Phase
from tsrep.methods.autotcl import BUDGET, AutoTCL
from tsrep.pairing.across import Across
from tsrep.pairing.relevance import Kernel, Means
from tsrep.pairing.segments import Segments
from tsrep.pairing.sparsity import Sparsity
from tsrep.pairs import Alone
from tsrep.series import STREAM, Series
from tsrep.training import Training, train
from tsrep.views.learned import Learned

ROWS, CHANNELS, TIME = 12, 2, 30
SMALL: dict[str, Any] = {"hidden": 8, "features": 6, "depth": 1}


def made(encoder_seed: int = 0, **settings: Any) -> Method:
    torch.manual_seed(encoder_seed)
    encoder = Dilated(hidden=6, depth=3, features=8).build(CHANNELS, TIME)
    return AutoTCL(**{**SMALL, **settings}).build(encoder, DataShape(ROWS, ("a", "b"), TIME))


def data() -> Series:
    values = torch.randn(ROWS, CHANNELS, TIME, generator=torch.Generator().manual_seed(0))
    values[0, :, 20:], values[1, :, :8], values[2, 1, 4:9] = [float("nan")] * 3
    return Series.of(values)


def terms(method: Method, phase: str) -> dict[str, Any]:
    return dict(next(p for p in method.phases if p.name == phase).terms)


def loss_of(method: Method, phase: Phase, seed: int = 0) -> Tensor:
    views = method.view({STREAM: data()}, randomness.generator(seed))
    return method.loss(phase, views, method.embed(phase.embedded(views)), Alone())[0]


# --- phases -------------------------------------------------------------------------------------------------------


class Watch:
    """After every step of an optimizer: which of view and encoder are other than they were."""

    def __init__(self, method: Method) -> None:
        self.parts = [cast(nn.Module, method.view), method.encoder]
        self.before, self.told = self.weights(), list[tuple[bool, bool]]()

    def weights(self) -> list[list[Tensor]]:
        return [[p.detach().clone() for p in part.parameters()] for part in self.parts]

    def __call__(self, *_: object) -> None:
        now = self.weights()
        view, encoder = (
            not all(torch.equal(a, b) for a, b in zip(*both, strict=True))
            for both in zip(self.before, now, strict=True)
        )
        self.before = now
        self.told.append((view, encoder))


@pytest.mark.parametrize(("every", "steps"), [(1, 4), (3, 7), (3, 9), (8, 7)])
def test_phases_take_turns_and_each_moves_its_own(every: int, steps: int) -> None:
    """The encoder is bit-identical after a step of the view, and the other way round; ⌈n/M⌉ steps of the view."""
    method = made(every=every)
    watch = Watch(method)
    hook = register_optimizer_step_post_hook(watch)
    try:
        train(method, data(), Training(steps=steps, batch_size=6))
    finally:
        hook.remove()
    of_view, of_encoder = (True, False), (False, True)
    assert watch.told == [
        turn for step in range(steps) for turn in ([of_view, of_encoder] if step % every == 0 else [of_encoder])
    ]
    sparsity = terms(method, "augment")["sparsity"]
    assert int(sparsity.steps) == -(-steps // every) == watch.told.count(of_view)


def test_a_run_that_was_stopped_goes_on_as_if_unbroken(tmp_path: Path) -> None:
    settings = Training(steps=7, batch_size=6, average="mean", log_every=1)
    asked: list[int] = []

    def stopping() -> bool:
        asked.append(1)
        return len(asked) == 4

    whole = made(every=2, ramp=3)
    encoder, history = train(whole, data(), settings)
    with pytest.raises(tsrep.Interrupted):
        train(made(every=2, ramp=3), data(), settings, directory=tmp_path, stopping=stopping)
    again = made(encoder_seed=1, every=2, ramp=3)
    resumed, told = train(again, data(), settings, resume=tmp_path / "checkpoint.safetensors")
    assert told == history
    for mine, theirs in ((again, whole), (resumed, encoder)):
        assert all(
            torch.equal(a, b) for a, b in zip(mine.state_dict().values(), theirs.state_dict().values(), strict=True)
        )


def test_the_view_learns_at_a_rate_of_its_own_and_first() -> None:
    first, second = made(view_rate=3.0, every=5).phases
    assert (first.name, first.rate, first.every, first.embeds) == ("augment", 3.0, 5, ("original", "informative"))
    assert (second.name, second.rate, second.every, second.embeds) == ("contrast", 1.0, 1, ("original", "view"))


def test_validation_looks_at_the_contrast_alone() -> None:
    _, history = train(
        made(), data(), Training(steps=2, batch_size=6, validate_every=1, log_every=1), validation=data().rows(slice(7))
    )
    assert all(0 < line["validation"] < 5 for line in history)
    assert {"loss/augment", "loss/contrast", "relevance", "sparsity", "consistency", "global", "local"} <= set(
        history[0]
    )


# --- parts --------------------------------------------------------------------------------------------------------


def test_defaults_are_those_of_the_paper() -> None:
    method = made()
    assert [type(t) for t in terms(method, "augment").values()] == [
        Means,
        Sparsity,
        type(terms(method, "augment")["consistency"]),
    ]
    both = terms(method, "contrast")
    assert both["global"].pairing == Across(1.0)
    assert both["local"].pairing == Segments(16, 1.0)
    assert (both["global"].share, both["local"].share) == (1.0, 0.1)
    view = cast(Learned, method.view)
    assert view.gate is not None
    assert (view.gate.low, view.gate.high, view.gate.hard, view.hide.p) == (-0.1, 1.1, False, 0.5)
    assert view.gate.temperature == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("settings", "augment", "contrast"),
    [
        ({"gate": False}, ["relevance"], ["global", "local"]),
        ({"transform": False}, ["relevance", "sparsity", "consistency"], ["global", "local"]),
        ({"local": 0.0}, ["relevance", "sparsity", "consistency"], ["global"]),
        ({"consistency": 0.0}, ["relevance", "sparsity"], ["global", "local"]),
        ({"sparsity": 0.0}, ["relevance", "consistency"], ["global", "local"]),
        ({"relevance": "kernel"}, ["relevance", "sparsity", "consistency"], ["global", "local"]),
        ({"hard": True}, ["relevance", "sparsity", "consistency"], ["global", "local"]),
        ({"per_channel": True}, ["relevance", "sparsity", "consistency"], ["global", "local"]),
        ({"mask": 0.0}, ["relevance", "sparsity", "consistency"], ["global", "local"]),
        ({"depth": 0}, ["relevance", "sparsity", "consistency"], ["global", "local"]),
        ({"compat": "official"}, ["relevance", "sparsity"], ["global", "local"]),
    ],
    ids=str,
)
def test_every_switch_trains_and_leaves_out_what_it_says(
    settings: dict[str, Any], augment: list[str], contrast: list[str]
) -> None:
    method = made(**settings)
    assert list(terms(method, "augment")) == augment
    assert list(terms(method, "contrast")) == contrast
    before = {name: p.detach().clone() for name, p in method.named_parameters()}
    train(method, data(), Training(steps=2, batch_size=6))
    still = [name for name, p in method.named_parameters() if torch.equal(p, before[name])]
    assert not still


def test_without_mask_factor_and_noise_it_is_info_nce_of_a_series_with_itself() -> None:
    method = made(gate=False, transform=False, mask=0.0, local=0.0).double().eval()
    assert [phase.name for phase in method.phases] == ["contrast"]
    series = data().cast(torch.float64)
    views = method.view({STREAM: series}, randomness.generator(0))
    embeddings = method.embed({name: views[name] for name in ("original", "informative")})
    for kind in (Means(), Kernel()):
        assert kind(views, embeddings, Alone()) == 0
    own = method.encoder(series)
    unit = nn.functional.normalize(own.pooled, dim=1)
    expected = nn.functional.cross_entropy(unit @ unit.T, torch.arange(ROWS))
    contrast = method.embed({name: views[name] for name in ("original", "view")})
    torch.testing.assert_close(method.loss(method.phases[0], views, contrast, Alone())[0], expected)
    train(method, data(), Training(steps=2, batch_size=6))


def test_training_draws_masks_and_evaluation_does_not() -> None:
    method = made()
    augment, contrast = method.phases
    method.encoder.eval()
    assert not torch.equal(loss_of(method, augment, 0), loss_of(method, augment, 1))
    assert not torch.equal(loss_of(method, contrast, 0), loss_of(method, contrast, 1))
    method.eval()
    assert torch.equal(loss_of(method, augment, 0), loss_of(method, augment, 1))
    assert torch.equal(method.encoder(data()).pooled, method.encoder(data()).pooled), "the encoder knows of no mask"


def test_mining_can_be_added_to_the_terms() -> None:
    """Both contrasts yield dense pairs, so whatever changes masses fits between pairing and loss."""
    views = made().view({STREAM: data()}, randomness.generator(0))
    embeddings = made().eval().embed({name: views[name] for name in ("original", "view")})
    for term in terms(made(), "contrast").values():
        plain, heavier = (
            replace(term, mining=mining)(embeddings, Alone())[0]
            for mining in ((), (lambda pairs: replace(pairs, repel=2 * pairs.repel),))
        )
        assert heavier > plain


# --- the released code --------------------------------------------------------------------------------------------


def test_the_official_objective_is_that_of_the_released_code() -> None:
    method = made(compat="official", stretch=0.05, sparsity=0.3)
    view = cast(Learned, method.view)
    assert view.gate is not None
    assert (view.gate.low, view.gate.high, view.hide.p) == (-0.05, 1.0, 0.0)
    views = view.eval()({STREAM: data()}, randomness.generator(0))
    assert views["gate"].channels == CHANNELS
    inside = views["gate"].observed
    fed = views["gate"].values[inside]
    assert fed.min() >= 0 and fed.max() <= 1, "a probability where log-odds belong"
    assert torch.equal(views["view"].observed, data().observed)
    augment, contrast = terms(method, "augment"), terms(method, "contrast")
    assert isinstance(augment["relevance"], Kernel)
    per_series = [views["gate"].values[i].sum(0)[data().extent[i]].mean() for i in range(ROWS)]
    expected = 0.3 * max(0.0, torch.stack(per_series).mean().item() - BUDGET)
    assert expected > 0
    assert augment["sparsity"](views, {}, Alone()).item() == pytest.approx(expected, rel=1e-5)
    assert contrast["local"].pairing.most == 1
    assert "consistency" not in augment


def test_the_official_gate_never_closes() -> None:
    """methods.md §1.10: its mean moves between .47 and .66 as π goes from 0 to 1, which is why the paper's gate is the default."""
    gate = cast(Learned, made(compat="official", stretch=0.05).view).gate
    assert gate is not None
    noise = torch.rand(200_000, generator=torch.Generator().manual_seed(0))
    shut, open_ = (gate.sample(torch.full_like(noise, pi), noise).mean().item() for pi in (0.0, 1.0))
    assert shut == pytest.approx(0.47, abs=0.015)
    assert open_ == pytest.approx(0.66, abs=0.02)


# --- it finds what is relevant ------------------------------------------------------------------------------------


def test_the_mask_keeps_the_steps_that_tell_series_apart() -> None:
    """A wave of its own in the middle third of every series, noise around it: the wave stays, the noise goes (methods.md, O6).

    The objective is bistable, so most seeds are asked for and not all; at first every gate is open.
    """
    middle = slice(32, 64)
    apart = []
    for seed in range(3):
        random = randomness.generator(seed)
        pace, phase = (torch.rand(256, 1, 1, generator=random) for _ in range(2))
        values = 0.3 * torch.randn(256, 1, 96, generator=random)
        wave = torch.sin(2 * torch.pi * ((0.05 + 0.1 * pace) * torch.arange(96) + phase))
        values[..., middle] = wave[..., middle]
        series = Series.of(values)
        torch.manual_seed(seed)
        encoder = Dilated(hidden=8, depth=3, features=16, dropout=0.0).build(1, 96)
        method = AutoTCL(hidden=8).build(encoder, DataShape(256, ("a",), 96))
        view = cast(Learned, method.view)
        assert view.gate is not None
        begun, _, _ = view.split(series, None)
        assert begun is not None and view.gate.opening(begun).min() > 0.9
        train(method, series, Training(steps=300, batch_size=16, schedule="cosine"), seed=seed)
        odds, _, _ = view.split(series, None)
        assert odds is not None
        kept = view.gate.opening(odds).mean((0, 1))
        inside = kept[middle].mean().item()
        outside = torch.cat([kept[: middle.start], kept[middle.stop :]]).mean().item()
        apart.append(inside - outside)
        if sum(gap >= 0.2 for gap in apart) == 2:
            break
    assert sum(gap >= 0.2 for gap in apart) >= 2, apart


def test_it_learns_with_an_encoder_of_tsai() -> None:
    """Whose batch statistics stand still while the view moves."""
    pytest.importorskip("tsai", reason="needs the package tsai: install tsrep[tsai]")
    plan, _ = tsrep.make_plan({"encoder": {"name": "tsai", "arch": "FCNPlus", "kwargs": {"layers": [4, 6, 4]}}})
    torch.manual_seed(0)
    encoder = plan.encoder.build(CHANNELS, TIME)
    method = AutoTCL(**SMALL).build(encoder, DataShape(ROWS, ("a", "b"), TIME))
    before = {name: p.detach().clone() for name, p in method.named_parameters()}
    counted = next(b for name, b in encoder.named_buffers() if name.endswith("num_batches_tracked"))
    _, history = train(method, data(), Training(steps=3, batch_size=6, log_every=1))
    still = [name for name, p in method.named_parameters() if torch.equal(p, before[name])]
    assert not still
    assert counted == 3, "once a step of the contrast, whose views go together; never while the view moves"
    assert all(torch.isfinite(torch.tensor(line["loss/contrast"])) for line in history)
