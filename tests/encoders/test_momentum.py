"""The slow copy: where it is after some steps, that nothing else moves it, and which views it embeds."""

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn

from tsrep.encoders.dilated import Dilated
from tsrep.encoders.momentum import SlowCopy
from tsrep.memory import Step
from tsrep.method import Method, Phase, Term
from tsrep.mining.bad_pairs import BadPairs
from tsrep.pairing.instance import Instance
from tsrep.pairs import Alone, Gather
from tsrep.series import STREAM, Embedding, Series, Views
from tsrep.training import Training, train


def encoder_of(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return Dilated(hidden=4, depth=2, features=6, dropout=0.5).build(2, 9).double()


def head_of() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5)).double()


def series(n: int = 8, seed: int = 0) -> Series:
    return Series.of(torch.randn(n, 2, 9, generator=torch.Generator().manual_seed(seed), dtype=torch.float64))


def step(phase: str = "contrast", moved: bool = True) -> Step:
    return Step(phase, {}, {}, {}, Alone(), moved)


def test_the_copy_is_the_moving_mean_of_the_weights_and_has_the_buffers_of_now() -> None:
    encoder, head = encoder_of(), head_of()
    slow = SlowCopy(encoder, head, momentum=0.9)
    expected = {
        name: p.detach().clone() for name, p in nn.ModuleDict({"encoder": encoder, "head": head}).named_parameters()
    }
    for number in range(3):
        with torch.no_grad():
            for p in (*encoder.parameters(), *head.parameters()):
                p.add_(number + 1.0)
        head(torch.randn(4, 6, dtype=torch.float64))  # moves the running statistics
        slow.after_step(step())
        for name, p in nn.ModuleDict({"encoder": encoder, "head": head}).named_parameters():
            expected[name] = 0.9 * expected[name] + 0.1 * p.detach()
    for name, p in slow.named_parameters():
        torch.testing.assert_close(p, expected[name])
    assert slow.head[1].running_mean.abs().sum() > 0
    assert torch.equal(slow.head[1].running_mean, head[1].running_mean)
    assert int(slow.head[1].num_batches_tracked) == 3


@pytest.mark.parametrize("told", [step(phase="augment"), step(moved=False)], ids=["another phase", "no step"])
def test_it_moves_only_where_the_encoder_did(told: Step) -> None:
    encoder = encoder_of()
    slow = SlowCopy(encoder, None, momentum=0.0)
    before = {name: tensor.clone() for name, tensor in slow.state_dict().items()}
    with torch.no_grad():
        next(encoder.parameters()).add_(1.0)
    slow.after_step(told)
    assert all(torch.equal(before[name], tensor) for name, tensor in slow.state_dict().items())
    slow.after_step(step())
    assert not torch.equal(next(iter(slow.state_dict().values())), next(iter(before.values())))


def test_it_computes_as_in_evaluation_and_holds_nothing_of_whom_it_follows() -> None:
    """So a key does not depend on the batch that it is embedded in, in spite of dropout and a batch norm."""
    encoder, head = encoder_of(), head_of()
    slow = SlowCopy(encoder, head, momentum=0.9).train()
    assert encoder.training and not any(module.training for module in slow.modules())
    together = slow(series())
    for i in range(8):
        torch.testing.assert_close(slow(series().rows(slice(i, i + 1))).pooled, together.pooled[i : i + 1])
    assert not together.pooled.requires_grad and not together.steps.requires_grad
    assert not any(p.requires_grad for p in slow.parameters())
    own = {p.data_ptr() for p in slow.parameters()}
    assert own.isdisjoint(p.data_ptr() for p in (*encoder.parameters(), *head.parameters()))
    assert len(list(slow.parameters())) == len([*encoder.parameters(), *head.parameters()])


def view(batch: Mapping[str, Series], generator: torch.Generator) -> dict[str, Series]:
    return {"left": batch[STREAM], "right": batch[STREAM]}


def apart(views: Views, embeddings: Mapping[str, Embedding], gather: Gather) -> Tensor:
    return (embeddings["left"].pooled - embeddings["right"].pooled).square().mean()


def method_of(momentum: float) -> Method:
    encoder, head = encoder_of(), head_of()
    phase = Phase("contrast", (encoder, head), {"apart": apart})
    slow = SlowCopy(encoder, head, momentum)
    return Method("made", view, encoder, (phase,), head, slow=slow, keys=("right",))


def test_a_method_embeds_keys_by_its_slow_copy_and_all_other_views_by_its_encoder() -> None:
    method = method_of(0.9).eval()
    with torch.no_grad():
        for p in method.encoder.parameters():
            p.mul_(1.5)
    views = {"right": series(), "left": series(seed=1), "more": series(seed=2)}
    embeddings = method.embed(views)
    assert set(embeddings) == set(views)
    assert torch.equal(embeddings["right"].pooled, method.slow(views["right"]).pooled)
    assert embeddings["right"].series is views["right"]
    for name in ("left", "more"):
        own = method.encoder(views[name])
        torch.testing.assert_close(embeddings[name].pooled, method.head(own.pooled))
        assert embeddings[name].pooled.requires_grad
    assert not embeddings["right"].pooled.requires_grad
    assert set(method.embed({"right": series()})) == {"right"}


@pytest.mark.parametrize("accumulate", [1, 2])
def test_training_moves_it_once_for_every_step_of_the_optimiser(accumulate: int) -> None:
    method = method_of(0.5)
    before = {name: p.detach().clone() for name, p in method.encoder.named_parameters()}
    train(method, series(), Training(steps=1, batch_size=4, accumulate=accumulate, precision="float64"))
    moved = 0.0
    for name, p in method.encoder.named_parameters():
        torch.testing.assert_close(dict(method.slow.encoder.named_parameters())[name], 0.5 * (before[name] + p))
        moved = max(moved, float((p.detach() - before[name]).abs().max()))
    assert moved > 1e-4


def test_a_slow_copy_is_saved_once_and_survives_miners() -> None:
    method = method_of(0.5)
    held = [tensor.data_ptr() for tensor in method.state_dict().values() if tensor.numel()]
    assert len(held) == len(set(held))
    assert {name.split(".")[0] for name in method.state_dict()} == {"encoder", "head", "slow"}
    phase = Phase("contrast", (method.encoder,), {"instance": Term(Instance())})
    mined = Method("made", view, method.encoder, (phase,), slow=method.slow, keys=("right",))
    mined = mined.mined([BadPairs()], series())
    assert mined.slow is method.slow and not mined.embed({"right": series()})["right"].pooled.requires_grad
