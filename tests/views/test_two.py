import pytest
import torch

from tsrep.errors import InputError
from tsrep.series import Series
from tsrep.views import chain
from tsrep.views.jitter import Jitter
from tsrep.views.scale import Scale
from tsrep.views.two import Two


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_two_views_are_two_draws_of_one_chain() -> None:
    series = Series.of(torch.randn(5, 3, 20, generator=seeded(1)))
    views = Two((Jitter(0.1), Scale(0.5)))({"series": series}, seeded())
    assert list(views) == ["left", "right"]
    generator = seeded()
    for side in ("left", "right"):
        expected = Scale(0.5)(Jitter(0.1)(series, generator), generator)
        assert torch.equal(views[side].values, expected.values)
    assert not torch.equal(views["left"].values, views["right"].values)


def test_two_takes_its_stream_and_says_which_it_misses() -> None:
    hip, wrist = Series.of(torch.zeros(2, 1, 4)), Series.of(torch.ones(2, 1, 4))
    views = Two((), stream="wrist")({"hip": hip, "wrist": wrist}, seeded())
    assert torch.equal(views["left"].values, wrist.values)
    with pytest.raises(InputError, match=r"stream 'wrst'; did you mean 'wrist'"):
        Two((), stream="wrst")({"hip": hip, "wrist": wrist}, seeded())


def test_a_chain_is_built_from_names_parameters_and_augmentations_in_order() -> None:
    built = chain(["jitter", {"scale": {"sigma": 0.5, "keep_sign": True}}, {"jitter": None}, Jitter(0.3)])
    assert built == (Jitter(), Scale(0.5, True), Jitter(), Jitter(0.3))
    assert chain({"scale": {"sigma": 0.2}, "jitter": {}}) == (Scale(0.2), Jitter())
    assert chain(()) == ()


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        (["jiter"], "unknown augmentation 'jiter'; did you mean 'jitter'?"),
        (["xyzzy"], "unknown augmentation 'xyzzy'; known are: .*jitter"),
        ([{"jitter": {"sgima": 1}}], "unknown parameter 'sgima' of jitter; did you mean 'sigma'?"),
        ([{"jitter": 0.3}], "expected the parameters of jitter as a mapping.*got 0.3"),
        ([{"jitter": {"sigma": -1}}], "expected jitter.sigma to be a number of at least 0, got -1"),
        ([3], "expected the name of an augmentation.*got 3"),
        ([Jitter], "expected the name of an augmentation"),
        ("jitter", "expected a list of augmentations.*got 'jitter'"),
        (None, "expected a list of augmentations.*got None"),
    ],
)
def test_a_chain_that_cannot_be_built_says_why(specs: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        chain(specs)  # type: ignore[arg-type]
