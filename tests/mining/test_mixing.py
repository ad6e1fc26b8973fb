"""Mixed negatives: where they lie, what they are mixed of, who feels them and since when."""

import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from tsrep import randomness
from tsrep.errors import InputError
from tsrep.losses import info_nce
from tsrep.memory import Seen, Step
from tsrep.mining.mixing import Mixer, Mixing
from tsrep.pairing.across import Across
from tsrep.pairing.hierarchical import Hierarchical
from tsrep.pairing.instance import Instance
from tsrep.pairs import Alone, Pairs
from tsrep.series import Embedding, Series

slow = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "reference" / "mixing.py")))
TAU = 0.3


def rows(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def units(n: int, features: int, seed: int = 0) -> Tensor:
    return normalize(rows(n, features, seed=seed), dim=-1)


def pool(u: Tensor, v: Tensor) -> Pairs:
    series = Series.of(torch.zeros(len(u), 1, 1))
    given = {"left": Embedding(u[..., None], u, series), "right": Embedding(v[..., None], v, series)}
    (pairs,) = Instance(TAU)(given, Alone())
    return pairs.dense()


def mixer(**settings: Any) -> Mixer:
    return Mixer(Mixing(**{"hardest": 4, "between": 5, "toward": 3, "warmup": 0} | settings)).train()


def draws(settings: Mixing, batches: int) -> list[Tensor]:
    """a, i, j, b, k as the formula of `Mixing` takes them."""
    generator = randomness.generator(settings.seed, randomness.MINING, batches)
    sizes = [settings.between] * 3 + [settings.toward] * 2
    drawn = [torch.rand(n, generator=generator, dtype=torch.float64) for n in sizes]
    drawn[3] = drawn[3] / 2
    return drawn


def points(mixer: Mixer, pairs: Pairs) -> Tensor:
    assert pairs.points is not None
    negative = pairs.repel > 0
    return mixer.mixed(*pairs.points, pairs.score.masked_fill(~negative, -torch.inf), negative.sum(-1))


def told(mixer: Mixer, pairs: Pairs) -> Step:
    row = pairs.row[: len(pairs.row) // 2]
    return Step("contrast", {}, {}, {"pairs": Seen.of([(pairs, info_nce(pairs))], row, keep=True)}, Alone())


def test_the_loss_with_mixed_negatives_equals_the_slow_loop_in_value_and_gradient() -> None:
    mine, found = mixer(seed=3), []
    loops = [lambda u, v: (info_nce(mine(pool(u, v))) * pool(u, v).weight).sum()]
    loops.append(lambda u, v: slow.loss(u, v, TAU, 4, *draws(mine.settings, 0)))
    for made in loops:
        u, v = units(6, 5, 1).requires_grad_(), units(6, 5, 2).requires_grad_()
        value = made(normalize(u, dim=-1), normalize(v, dim=-1))
        found.append([value.detach(), *torch.autograd.grad(value, [u, v])])
    assert found[1][1].abs().max() > 1e-2
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


def test_mixed_points_have_length_one_and_lie_nearer_than_what_they_are_mixed_of() -> None:
    mine, pairs = mixer(hardest=6, between=7, toward=9), pool(units(8, 5), units(8, 5, 1))
    made = points(mine, pairs)
    assert made.shape == (16, 16, 5)
    torch.testing.assert_close(made.norm(dim=-1), torch.ones(16, 16, dtype=torch.float64))
    ranked = pairs.score.masked_fill(pairs.repel == 0, -torch.inf).sort(-1, descending=True).values * TAU
    place = (draws(mine.settings, 0)[4] * 6).long()
    assert pairs.points is not None
    anchors = pairs.points[0] * TAU**0.5
    cosine = (anchors[:, None] * made).sum(-1)
    assert (cosine[:, 7:] > ranked[:, place]).all(), "cos(q, h') > cos(q, n_k)"
    least = ranked[:, 5:6]
    assert (least > 0).any()
    assert ((cosine[:, :7] >= least) | (least < 0)).all(), (
        "a mix is shorter than one, so its length of one brings it nearer"
    )


def test_no_gradient_reaches_a_candidate_through_a_mixed_point_and_one_reaches_the_anchor() -> None:
    anchors, candidates = units(3, 4).requires_grad_(), units(6, 4, 1).requires_grad_()
    attract = torch.eye(3, 6, dtype=torch.float64)
    pairs = Pairs(
        (anchors @ candidates.T).detach() / TAU,
        attract,
        1 - attract,
        torch.ones(1),
        torch.arange(3),
        points=(anchors / TAU**0.5, candidates / TAU**0.5),
        floor=-1 / TAU,
    )
    mixed = mixer()(pairs)
    to_anchors, to_candidates = torch.autograd.grad(info_nce(mixed).sum(), [anchors, candidates], allow_unused=True)
    assert to_candidates is None
    assert (to_anchors.norm(dim=1) > 1e-2).all()


def test_masses_and_names_are_appended_and_the_rest_stays() -> None:
    pairs = pool(units(6, 5), units(6, 5, 1))
    mixed = mixer()(pairs)
    assert mixed.score.shape == mixed.attract.shape == mixed.repel.shape == (12, 20)
    for name in ("score", "attract", "repel"):
        assert torch.equal(getattr(mixed, name)[:, :12], getattr(pairs, name))
    assert (mixed.attract[:, 12:] == 0).all() and (mixed.repel[:, 12:] == 1).all()
    assert mixed.who is not None and pairs.who is not None
    assert torch.equal(mixed.who[:12], pairs.who) and (mixed.who[12:] == -1).all()
    assert mixed.points is None
    assert mixed.score[:, 12:].abs().max() <= 1 / TAU
    moments = replace(pairs, moment=(torch.arange(12), torch.arange(12)), who=torch.zeros(1, dtype=torch.int64))
    late = mixer()(moments)
    assert (
        late.moment is not None and late.moment[1][12:].isinf().all() and late.moment[1][:12].tolist() == [*range(12)]
    )
    assert late.who is not None and late.who.tolist() == [0] * 12 + [-1] * 8


def test_an_anchor_mixes_what_repels_it_and_nothing_else() -> None:
    """One anchor with two negatives, one with none: its slots have no mass; the positive is never mixed."""
    pairs = pool(units(4, 3), units(4, 3, 1))
    repel = pairs.repel.clone()
    repel[0], repel[1] = 0.0, 0.0
    repel[1, [2, 7]] = 1.0
    pairs = replace(pairs, repel=repel)
    mine = mixer(hardest=5, toward=0)
    made = points(mine, pairs)
    assert pairs.points is not None
    two = pairs.points[1][[2, 7]]
    basis, _ = torch.linalg.qr(two.T)
    torch.testing.assert_close(made[1] @ basis @ basis.T, made[1])
    mixed = mine(pairs)
    assert (mixed.repel[0, 8:] == 0).all() and (mixed.repel[1:, 8:] == 1).all()
    assert info_nce(mixed).isfinite().all()


def test_groups_mix_within_themselves() -> None:
    u, v = units(5, 4), units(5, 4, 1)
    one, other = pool(u, v), pool(v, u.roll(1, 0))
    assert one.points is not None and other.points is not None
    both = replace(
        one,
        score=torch.stack([one.score, other.score]),
        points=tuple(torch.stack([a, b]) for a, b in zip(one.points, other.points, strict=True)),
    )
    mine = mixer()
    torch.testing.assert_close(mine(both).score, torch.stack([mine(one).score, mine(other).score]))


def test_it_begins_after_the_warm_up_and_draws_anew_in_every_batch() -> None:
    mine, pairs = mixer(warmup=2), pool(units(6, 5), units(6, 5, 1))
    begun = []
    for _ in range(4):
        begun.append(mine(pairs).score)
        assert torch.equal(mine(pairs).score, begun[-1]), "nothing changes between steps"
        mine.after_step(told(mine, pairs))
    assert [score.shape[1] for score in begun] == [12, 12, 20, 20]
    assert not torch.equal(begun[2], begun[3])
    again = mixer(warmup=2)
    again.load_state_dict(mine.state_dict())
    assert torch.equal(again(pairs).score, mine(pairs).score)
    assert not torch.equal(mixer(seed=1)(pairs).score, mixer(seed=0)(pairs).score)


def test_a_phase_that_it_has_no_part_in_does_not_count() -> None:
    mine = mixer()
    mine.after_step(Step("views", {}, {}, {}, Alone()))
    assert int(mine.batches) == 0


def test_the_validation_loss_is_the_hosts() -> None:
    pairs = pool(units(6, 5), units(6, 5, 1))
    assert mixer().eval()(pairs) is pairs


def test_half_of_the_anchors_mix_as_they_do_among_all() -> None:
    """A worker holds some anchors and all candidates."""
    u, v = units(6, 5), units(6, 5, 1)
    series = Series.of(torch.zeros(6, 1, 1))
    given = {"original": Embedding(u[..., None], u, series), "view": Embedding(v[..., None], v, series)}
    (whole,) = Across(TAU)(given, Alone())
    assert whole.points is not None
    part = replace(
        whole,
        score=whole.score[2:5],
        attract=whole.attract[2:5],
        repel=whole.repel[2:5],
        points=(whole.points[0][2:5], whole.points[1]),
    )
    mine = mixer()
    torch.testing.assert_close(mine(part).score, mine(whole).score[2:5])


def test_scores_that_are_no_cosines_are_refused_even_before_the_warm_up_is_over() -> None:
    steps = rows(2, 3, 4, 5)
    given = {
        side: Embedding(part, part.amax(-1), Series.of(torch.zeros(3, 1, 5)))
        for side, part in zip(("left", "right"), steps, strict=True)
    }
    pairs = next(iter(Hierarchical()(given, Alone()))).dense()
    with pytest.raises(InputError, match=r"mining.mixing: expected scores that are cosines"):
        mixer(warmup=9)(pairs)
    with pytest.raises(InputError, match="of which points"):
        mixer()(replace(pool(units(3, 2), units(3, 2, 1)), points=None))


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_is_raised_before_it_mixes(kind: torch.dtype) -> None:
    pairs = pool(units(6, 5), units(6, 5, 1))
    assert pairs.points is not None
    low = replace(pairs, points=tuple(p.to(kind) for p in pairs.points), score=pairs.score.to(kind))
    mixed = mixer()(low)
    assert info_nce(mixed).isfinite().all()
    torch.testing.assert_close(mixed.score[:, 12:].norm(dim=-1) > 0, torch.ones(12, dtype=torch.bool))
