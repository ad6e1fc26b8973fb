"""Terms, phases and methods: what is added up, who is told what, and that nothing a method remembers is lost."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from tsrep.encoders.dilated import Dilated
from tsrep.losses import info_nce, supcon
from tsrep.memory import Seen, Step
from tsrep.method import Method, Phase, Term
from tsrep.mining.bad_pairs import BadPairs
from tsrep.mining.debias import Debias
from tsrep.mining.hard_negatives import HardNegatives
from tsrep.pairing.hierarchical import Hierarchical
from tsrep.pairing.instance import Instance
from tsrep.pairs import Alone, Gather, Pairs
from tsrep.series import Embedding, Series


def rows(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def series(n: int = 4, time: int = 9, seed: int = 0) -> Series:
    x = rows(n, 2, time, seed=seed)
    x[0, :, 6:] = float("nan")
    return Series.of(x)


def encoder_of(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return Dilated(hidden=4, depth=2, features=6, dropout=0.0).build(2, 9).double()


def given() -> dict[str, Embedding]:
    encoder = encoder_of()
    return {"left": encoder(series()), "right": encoder(series(seed=1))}


class Parts:
    """Yields the given pairs, one after the other."""

    def __init__(self, *pairs: Pairs) -> None:
        self.pairs = pairs

    def __call__(self, embeddings: Mapping[str, Embedding], gather: Gather) -> list[Pairs]:
        return list(self.pairs)


def pairs(n: int, share: float, seed: int) -> Pairs:
    own = torch.eye(n, dtype=torch.float64)
    return Pairs(
        rows(n, n, seed=seed),
        own,
        1 - own,
        torch.full((n,), share / n, dtype=torch.float64),
        torch.arange(n) + 10 * seed,
    )


# --- a term -------------------------------------------------------------------------------------------------------


def test_a_term_adds_up_shares_times_losses() -> None:
    first, second = pairs(3, 0.4, 1), pairs(5, 0.6, 2)
    value, seen = Term(Parts(first, second), share=0.5)({}, Alone())
    expected = 0.5 * (0.4 * info_nce(first).mean() + 0.6 * info_nce(second).mean())
    torch.testing.assert_close(value, expected)
    assert seen is None


def test_chunks_of_anchors_equal_the_whole() -> None:
    whole = pairs(6, 1.0, 3)
    cuts = [
        Pairs(whole.score[i], whole.attract[i], whole.repel[i], whole.weight[i], whole.row[i])
        for i in torch.arange(6).split(4)
    ]
    torch.testing.assert_close(Term(Parts(*cuts))({}, Alone())[0], Term(Parts(whole))({}, Alone())[0])


def test_mining_changes_masses_in_its_order_before_the_loss() -> None:
    def doubled(p: Pairs) -> Pairs:
        return Pairs(p.score, p.attract, 2 * p.repel, p.weight, p.row)

    def floored(p: Pairs) -> Pairs:
        return Pairs(p.score, p.attract, p.repel.clamp(max=1.0), p.weight, p.row)

    term = {
        order: Term(Instance(), mining=order)(given(), Alone())[0]
        for order in ((), (doubled, floored), (floored, doubled))
    }
    torch.testing.assert_close(term[()], term[doubled, floored])
    assert term[floored, doubled] > term[()] + 0.1


def test_reweighing_sees_what_each_series_lost_and_weighs_all_its_anchors_alike() -> None:
    """Two parts of three series: one with an anchor for each, one with two for each of which one has no weight."""
    row = torch.tensor([7, 2, 5])
    first = replace(pairs(3, 0.5, 1), row=row)
    second = replace(pairs(6, 0.5, 2), row=row.repeat(2), weight=torch.tensor([0.1, 0.2, 0.0, 0.1, 0.0, 0.1]).double())
    asked = []

    def reweigh(loss: Tensor, row: Tensor) -> Tensor:
        asked.append((loss, row))
        return torch.tensor([0.0, 0.5, 1.0], dtype=loss.dtype)

    batch = {"left": Embedding(torch.zeros(3, 1, 1), torch.zeros(3, 1), Series.of(torch.zeros(3, 1, 1), row=row))}
    value, seen = Term(Parts(first, second), reweigh=reweigh)(batch, Alone())
    one, two = info_nce(first), info_nce(second)
    each = one * first.weight + (two * second.weight).reshape(2, 3).sum(0)
    shares = first.weight + second.weight.reshape(2, 3).sum(0)
    torch.testing.assert_close(value, each[1] * 0.5 + each[2])
    (loss, rows), *_ = asked
    assert torch.equal(rows, row) and not loss.requires_grad
    torch.testing.assert_close(loss, (each / shares).detach())
    assert seen is not None
    torch.testing.assert_close(seen.weight, shares)
    assert seen.parts == ()  # nobody who remembers asks for them


def test_a_miner_that_remembers_is_given_the_pairs_without_their_graph() -> None:
    class Listening(nn.Module):
        def forward(self, pairs: Pairs) -> Pairs:
            return pairs

        def after_step(self, step: Step) -> None:
            self.told = step

    batch = given()
    _, seen = Term(Hierarchical(), mining=(Listening(),))(batch, Alone())
    assert seen is not None and len(seen.parts) == len(list(Hierarchical()(batch, Alone())))
    for pairs, loss in seen.parts:
        assert isinstance(pairs, Pairs) and pairs.points is not None
        assert not any(part.requires_grad for part in (pairs.score, *pairs.points, loss))
        assert pairs.score.abs().sum() > 0


def test_a_loss_that_the_method_chose_is_not_replaced() -> None:
    own = Term(Instance(), supcon)
    with pytest.raises(ValueError, match="a term with the loss info_nce"):
        own.mined(Debias(), series())
    assert own.mined(HardNegatives(), series()).loss is supcon


def test_a_factor_of_one_changes_no_bit() -> None:
    plain = Term(Hierarchical())(given(), Alone())[0]
    weighed = Term(Hierarchical(), reweigh=lambda loss, row: torch.ones_like(loss))(given(), Alone())[0]
    assert torch.equal(plain, weighed)


def test_a_pairing_that_yields_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="yield pairs"):
        Term(Parts())({}, Alone())


# --- a method -----------------------------------------------------------------------------------------------------


class Queue(nn.Module):
    """A pairing with a memory, as MoCo's: what a step saw is a negative of the next."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(3, 6, dtype=torch.float64))
        self.steps: list[str] = []
        self.epochs: list[int] = []

    def __call__(self, embeddings: Mapping[str, Embedding], gather: Gather) -> list[Pairs]:
        left, right = (e.pooled for e in embeddings.values())
        score = left @ torch.cat([right, self.seen]).T
        attract = torch.eye(*score.shape, dtype=score.dtype)
        return [Pairs(score, attract, 1 - attract, score.new_full((1,), 1 / len(left)), torch.arange(len(left)))]

    def after_step(self, step: Step) -> None:
        self.steps.append(step.phase)
        assert not step.embeddings["left"].pooled.requires_grad
        self.seen = torch.cat([step.embeddings["right"].pooled, self.seen])[:3]

    def after_epoch(self, epoch: int) -> None:
        self.epochs.append(epoch)


def view(batch: Mapping[str, Series], generator: torch.Generator) -> dict[str, Series]:
    return {"left": batch["series"], "right": batch["series"]}


def method_of(*phases: Phase, encoder: nn.Module | None = None, head: nn.Module | None = None) -> Method:
    encoder = encoder or encoder_of()
    return Method("made", view, encoder, phases or (Phase("only", (encoder,), {"pairs": Term(Instance())}),), head)


@pytest.mark.parametrize("time", [9, 7])
def test_views_embedded_together_equal_each_alone(time: int) -> None:
    encoder = encoder_of().eval()
    views = {"left": series(), "right": series(5, time, seed=2)}
    together = method_of(encoder=encoder).embed(views)
    for name, one in views.items():
        torch.testing.assert_close(together[name].pooled, encoder(one).pooled)
        torch.testing.assert_close(together[name].steps, encoder(one).steps)
        assert together[name].series is one


def test_the_head_stands_between_the_pooled_embedding_and_the_pairs() -> None:
    head = nn.Linear(6, 2).double()
    views = {"left": series(), "right": series(seed=1)}
    bare, headed = method_of(encoder=encoder_of()).embed(views), method_of(encoder=encoder_of(), head=head).embed(views)
    for name in views:
        torch.testing.assert_close(headed[name].pooled, head(bare[name].pooled))
        torch.testing.assert_close(headed[name].steps, bare[name].steps)


def test_the_loss_of_a_phase_is_the_sum_of_its_terms() -> None:
    def variance(views: object, embeddings: Mapping[str, Embedding], gather: Gather) -> Tensor:
        return embeddings["left"].pooled.var()

    encoder = encoder_of()
    phase = Phase("all", (encoder,), {"near": Term(Instance(), supcon, share=0.3), "wide": variance})
    method = method_of(phase, encoder=encoder)
    views = {"left": series(), "right": series(seed=1)}
    total, values, step = method.loss(phase, views, method.embed(views), Alone())
    torch.testing.assert_close(total, values["near"] + values["wide"])
    assert set(values) == {"near", "wide"}
    assert values["near"] > 0
    assert not any(v.requires_grad for v in values.values())
    assert total.requires_grad
    assert step.phase == "all" and step.seen == {} and step.views is views


def test_what_remembers_is_saved_and_told_once() -> None:
    queue, encoder = Queue(), encoder_of()
    twice = {"first": Term(queue), "again": Term(queue)}
    phases = (Phase("a", (encoder,), twice), Phase("b", (encoder,), {"pairs": Term(queue)}, every=2))
    method = method_of(*phases, encoder=encoder)
    assert [name for name in method.state_dict() if name.endswith("seen")] == ["parts.0.seen"]
    views = {"left": series(), "right": series(seed=1)}
    embeddings = method.embed(views)
    before, _, step = method.loss(phases[0], views, embeddings, Alone())
    method.after_step(step)
    method.after_epoch(1)
    assert queue.steps == ["a"] and queue.epochs == [1]
    torch.testing.assert_close(queue.seen, embeddings["right"].pooled[:3])
    assert not torch.equal(method.loss(phases[0], views, embeddings, Alone())[0], before)


def test_what_remembers_may_say_numbers_under_the_name_of_its_term() -> None:
    class Counting(Queue):
        def numbers(self) -> dict[str, float]:
            return {"steps": float(len(self.steps))}

    class Silent(nn.Module):
        def forward(self, views: object, embeddings: Mapping[str, Embedding], gather: Gather) -> Tensor:
            return embeddings["left"].pooled.sum()

        def numbers(self) -> dict[str, float]:
            return {}

    queue, encoder = Counting(), encoder_of()
    method = method_of(Phase("a", (encoder,), {"near": Term(queue), "wide": Silent()}), encoder=encoder)
    assert method.numbers() == {"near/steps": 0.0}
    queue.steps.append("a")
    assert method.numbers() == {"near/steps": 1.0}


def test_miners_leave_the_names_of_what_else_a_method_remembers() -> None:
    class Mean(nn.BatchNorm1d):
        def forward(self, views: object, embeddings: Mapping[str, Embedding], gather: Gather) -> Tensor:
            return super().forward(embeddings["left"].pooled).sum()

    encoder = encoder_of()
    phase = Phase("a", (encoder,), {"pairs": Term(Queue()), "mean": Mean(6)})
    before = list(method_of(phase, encoder=encoder).state_dict())
    after = list(method_of(phase, encoder=encoder).mined([BadPairs()], series()).state_dict())
    assert after[: len(before)] == before and len(after) > len(before)


def test_modules_that_a_phase_moves_are_part_of_the_method_once() -> None:
    """A predictor that only an objective knows would otherwise be lost on save and left behind on another device."""
    predictor, encoder, head = nn.Linear(6, 6).double(), encoder_of(), nn.Linear(6, 6).double()

    def predict(views: object, embeddings: Mapping[str, Embedding], gather: Gather) -> Tensor:
        return (predictor(embeddings["left"].pooled) - embeddings["right"].pooled.detach()).square().mean()

    method = method_of(Phase("a", (encoder, head, predictor), {"predict": predict}), encoder=encoder, head=head)
    assert {id(p) for p in method.parameters()} >= {id(p) for p in predictor.parameters()}
    names = list(method.state_dict())
    assert sum("weight" in name and "parts" in name for name in names) == 1
    held = [tensor.data_ptr() for tensor in method.state_dict().values()]
    assert len(held) == len(set(held))


def test_a_phase_names_each_parameter_once() -> None:
    encoder = encoder_of()
    assert len(Phase("a", (encoder, encoder.blocks[0]), {}).parameters()) == len(list(encoder.parameters()))


def test_a_method_needs_a_phase_in_every_step_and_a_phase_a_term() -> None:
    encoder = encoder_of()
    with pytest.raises(ValueError, match="runs in every step"):
        method_of(Phase("rare", (encoder,), {"pairs": Term(Instance())}, every=2))
    empty = Phase("empty", (encoder,), {})
    method = method_of(empty, encoder=encoder)
    views = {"left": series(), "right": series(seed=1)}
    with pytest.raises(ValueError, match="'empty' of method 'made' to have a term"):
        method.loss(empty, views, method.embed(views), Alone())


def test_seen_and_terms_cannot_be_changed() -> None:
    for frozen in (Seen(torch.zeros(1), torch.zeros(1), torch.zeros(1), ()), Term(Instance()), Phase("a", (), {})):
        with pytest.raises(AttributeError):
            frozen.share = 2.0  # type: ignore[union-attr, misc]


# --- phases -------------------------------------------------------------------------------------------------------


def test_what_a_phase_does_not_move_stands_still_while_it_runs() -> None:
    encoder, head = encoder_of(), nn.Linear(6, 3).double()
    view = nn.Linear(2, 2).double()
    phases = (Phase("views", (view,), {}, every=2), Phase("contrast", (encoder, head), {}))
    method = Method("both", view, encoder, phases, head).train()
    with method.only(phases[0]):
        assert not encoder.training and not head.training and view.training
        assert not any(p.requires_grad for p in (*encoder.parameters(), *head.parameters()))
        assert all(p.requires_grad for p in view.parameters())
    with method.only(phases[1]):
        assert encoder.training and head.training and view.training
        assert not any(p.requires_grad for p in view.parameters())
        assert all(p.requires_grad for p in encoder.parameters())
    assert all(p.requires_grad for p in method.parameters()) and all(m.training for m in (encoder, head, view))


def test_a_phase_embeds_the_views_that_it_names() -> None:
    views = {"original": series(), "gate": series(seed=1)}
    assert list(Phase("all", (), {}).embedded(views)) == ["original", "gate"]
    assert list(Phase("one", (), {}, embeds=("original",)).embedded(views)) == ["original"]
