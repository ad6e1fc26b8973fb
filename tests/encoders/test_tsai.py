import copy
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load, save

from tsrep.encoders.tsai import WORKING, Tsai, TsaiEncoder, architectures
from tsrep.errors import InputError
from tsrep.series import Series

pytest.importorskip("tsai", reason="needs the package tsai: install tsrep[tsai]")

MAIN = ("InceptionTimePlus", "TSTPlus", "ResNetPlus", "OmniScaleCNN")
OTHERS = """
    ConvTranPlus FCNPlus gMLP GRU GRUPlus InceptionTime LSTM_FCN LSTM_FCNPlus LSTMAttentionPlus MLP mWDN mWDNPlus
    ResCNN TCN TransformerModel TSiTPlus TST XceptionTimePlus XCMPlus xresnet1d18plus
"""
KINDS = (*MAIN, *OTHERS.split())
LENGTH = 32
NAN = float("nan")
BUILT: dict[str, TsaiEncoder] = {}


def encoder_of(arch: str, **fields: object) -> TsaiEncoder:
    torch.manual_seed(0)
    encoder = Tsai(arch, **fields).build(channels=3, length=LENGTH)  # type: ignore[arg-type]
    assert isinstance(encoder, TsaiEncoder)
    return encoder.eval()


@pytest.fixture(params=KINDS)
def encoder(request: pytest.FixtureRequest) -> TsaiEncoder:
    if request.param not in BUILT:
        BUILT[request.param] = encoder_of(request.param)
    return copy.deepcopy(BUILT[request.param])


@pytest.fixture(params=MAIN)
def main(request: pytest.FixtureRequest) -> TsaiEncoder:
    return encoder_of(request.param)


def ragged() -> torch.Tensor:
    """Four series of unequal length, padded on either side, with a hole."""
    x = torch.randn(4, 3, LENGTH, generator=torch.Generator().manual_seed(1))
    x[1, :, 20:] = NAN
    x[2, :, :11] = NAN
    x[3, 1, 5:9] = NAN
    return x


@torch.no_grad()
def test_embeddings_keep_the_laws(encoder: TsaiEncoder) -> None:
    series = Series.of(ragged())
    embedding = encoder(series)
    assert embedding.steps.shape == (4, encoder.features, LENGTH)
    assert embedding.pooled.shape == (4, encoder.features)
    assert embedding.series is series
    assert embedding.steps.isfinite().all()
    assert embedding.pooled.std(dim=0).max() > 1e-4, "one embedding for all"
    assert (embedding.steps[~series.extent[:, None].expand_as(embedding.steps)] == 0).all()

    padded = encoder(Series.of(torch.nn.functional.pad(ragged(), (5, 3), value=NAN)))
    torch.testing.assert_close(padded.pooled, embedding.pooled, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(padded.steps[:, :, 5:-3], embedding.steps, atol=1e-5, rtol=1e-5)

    bare = encoder(Series.of(ragged()[2:3, :, 11:]))
    torch.testing.assert_close(bare.pooled[0], embedding.pooled[2], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(bare.steps[0], embedding.steps[2, :, 11:], atol=1e-5, rtol=1e-5)

    for i in range(4):
        alone = encoder(series.rows(slice(i, i + 1)))
        torch.testing.assert_close(alone.pooled[0], embedding.pooled[i], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(alone.steps[0], embedding.steps[i], atol=1e-5, rtol=1e-5)


def test_loaded_equals_saved(encoder: TsaiEncoder) -> None:
    other = copy.deepcopy(encoder)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(0.1)
    series = Series.of(ragged())
    assert not torch.equal(other(series).pooled, encoder(series).pooled)
    other.load_state_dict(load(save(encoder.state_dict())))
    assert torch.equal(other(series).pooled, encoder(series).pooled)


def test_a_gradient_reaches_every_parameter_that_learns(encoder: TsaiEncoder) -> None:
    encoder.train()
    embedding = encoder(Series.of(ragged()))
    (embedding.pooled.square().mean() + embedding.steps.square().mean()).backward()
    learning = {name: p for name, p in encoder.named_parameters() if p.requires_grad}
    assert all(p.grad is not None and p.grad.isfinite().all() for p in learning.values())
    assert sum(p.grad.abs().max() > 0 for p in learning.values() if p.grad is not None) > len(learning) / 2
    assert len(learning) >= len(list(encoder.parameters())) / 2


@torch.no_grad()
def test_longer_series_run_where_any_length_may(encoder: TsaiEncoder) -> None:
    x = torch.randn(5, 3, 3 * LENGTH + 1)
    x[0, :, 20:], x[1, :, 50:], x[2, :, :47] = NAN, NAN, NAN
    series = Series.of(x)
    if not encoder.any_length:
        with pytest.raises(InputError, match=f"at most {LENGTH} steps.*got {3 * LENGTH + 1}: window the series"):
            encoder(series)
        return
    embedding = encoder(series)
    assert embedding.steps.shape == (5, encoder.features, 3 * LENGTH + 1)
    for i in range(5):
        alone = encoder(Series.of(x[i : i + 1]))
        torch.testing.assert_close(alone.steps[0], embedding.steps[i], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(alone.pooled[0], embedding.pooled[i], atol=1e-5, rtol=1e-5)


def test_the_main_architectures_learn_to_tell_two_series_apart(main: TsaiEncoder) -> None:
    main.train()
    series = Series.of(torch.randn(2, 3, LENGTH).repeat_interleave(4, 0) + 0.1 * torch.randn(8, 3, LENGTH))
    optimiser = torch.optim.Adam([p for p in main.parameters() if p.requires_grad], lr=1e-3)
    distances = []
    for _ in range(6):
        pooled = main(series).pooled
        loss = torch.nn.functional.cosine_similarity(pooled[:4], pooled[4:]).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        distances.append(loss.item())
    assert distances[-1] < distances[0] - 0.05


def test_the_main_architectures_have_steps(main: TsaiEncoder) -> None:
    assert main.stepwise
    assert not main.causal
    steps = main(Series.of(torch.randn(1, 3, LENGTH))).steps
    assert steps.std(dim=2).max() > 1e-3


def test_nothing_of_the_head_is_kept(main: TsaiEncoder) -> None:
    assert not [name for name, _ in main.named_parameters() if "head" in name or "hidden" in name]
    assert all(p.ndim != 2 or p.shape[0] != 2 for p in main.parameters()), "a layer with one output per class"


def test_an_architecture_without_steps_gives_each_step_the_pooled_embedding() -> None:
    encoder = encoder_of("GRU")
    assert not encoder.stepwise
    series = Series.of(ragged())
    embedding = encoder(series)
    expected = embedding.pooled[:, :, None] * series.extent[:, None]
    torch.testing.assert_close(embedding.steps, expected)


def test_fewer_steps_are_stretched_over_time() -> None:
    encoder = encoder_of("xresnet1d18plus")
    assert encoder.stepwise
    assert encoder.backbone(torch.zeros(1, 3, LENGTH)).shape[2] < LENGTH
    steps = encoder(Series.of(torch.randn(1, 3, 4 * LENGTH))).steps
    torch.testing.assert_close(
        steps[:, :, 50:78].diff(2, dim=2), torch.zeros(1, encoder.features, 26), atol=1e-4, rtol=0
    )
    assert steps.std(dim=2).max() > 1e-3


def test_the_width_can_be_chosen() -> None:
    for arch in ("ResNetPlus", "GRU"):
        encoder = encoder_of(arch, features=20, pool="mean")
        embedding = encoder(Series.of(torch.randn(2, 3, LENGTH)))
        assert encoder.features == 20
        assert embedding.steps.shape == (2, 20, LENGTH)
        torch.testing.assert_close(embedding.pooled, embedding.steps.mean(dim=2), atol=1e-5, rtol=1e-5)


def test_arguments_reach_the_architecture() -> None:
    assert encoder_of("InceptionTimePlus", kwargs={"nf": 4}).features == 16
    with pytest.raises(InputError, match="unknown argument 'd_modle' of gMLP: did you mean 'd_model'"):
        encoder_of("gMLP", kwargs={"d_modle": 4})
    with pytest.raises(InputError, match="expected no seq_len in kwargs"):
        encoder_of("TSTPlus", kwargs={"seq_len": 4})
    with pytest.raises(InputError, match="cannot be an encoder for 3 channels, 32 steps and arguments"):
        encoder_of("TSTPlus", kwargs={"n_layers": "three"})


def test_one_seed_gives_one_encoder() -> None:
    first, second = encoder_of("TSTPlus").state_dict(), encoder_of("TSTPlus").state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_an_unknown_name_names_the_nearest() -> None:
    with pytest.raises(InputError, match="no architecture 'InceptionTimPlus': did you mean 'InceptionTimePlus'"):
        encoder_of("InceptionTimPlus")


@pytest.mark.parametrize(
    ("arch", "why"),
    [
        ("MiniRocketPlus", "nothing in it learns"),
        ("TSSequencerPlus", "mixes the series of a batch"),
        ("PatchTST", "no head"),
        ("TSTabFusionTransformer", "missing 2 required"),
    ],
)
def test_an_architecture_that_cannot_be_an_encoder_says_why_and_what_can(arch: str, why: str) -> None:
    with pytest.raises(InputError, match=f"{arch} cannot be an encoder.*{why}.*InceptionTimePlus"):
        encoder_of(arch)


def test_all_that_work_are_found() -> None:
    assert set(WORKING) <= set(architectures())


def test_tsai_is_imported_only_when_an_architecture_is_built() -> None:
    code = "import sys, tsrep.encoders.tsai as t; t.architectures(); t.Tsai(); print({'tsai'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
