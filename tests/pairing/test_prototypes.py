"""Spherical k-means: it finds bundles, follows from its generator, and takes a step as the formula says."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from tsrep.pairing.prototypes import spherical_kmeans

slow = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "reference" / "halp.py")))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def units(n: int, features: int, seed: int = 0) -> Tensor:
    return normalize(torch.randn(n, features, generator=generator(seed), dtype=torch.float64), dim=-1)


@pytest.mark.parametrize("seed", range(5))
def test_it_finds_bundles_of_directions(seed: int) -> None:
    middle = torch.eye(6, 8, dtype=torch.float64)
    points = normalize(middle.repeat(20, 1) + 0.1 * units(120, 8, seed=1), dim=1)
    found = spherical_kmeans(points, 6, generator(seed))
    nearest = (found @ middle.T).amax(1)
    assert (nearest > 0.99).all() and len((found @ middle.T).argmax(1).unique()) == 6
    torch.testing.assert_close(found.norm(dim=1), torch.ones(6, dtype=torch.float64))


@pytest.mark.parametrize("rounds", [1, 3, 50])
def test_its_rounds_are_those_of_the_slow_loop(rounds: int) -> None:
    points = units(40, 5)
    start = spherical_kmeans(points, 7, generator(3), rounds=0)
    assert (start[:, None] == points).all(2).any(1).all(), "it begins at points"
    assert len(start.unique(dim=0)) == 7
    found = spherical_kmeans(points, 7, generator(3), rounds=rounds)
    torch.testing.assert_close(found, slow.kmeans(points, start, rounds))
    assert not torch.allclose(found, start)


def test_it_follows_from_the_generator() -> None:
    points = units(40, 5)
    assert torch.equal(spherical_kmeans(points, 7, generator(3)), spherical_kmeans(points, 7, generator(3)))
    assert not torch.equal(spherical_kmeans(points, 7, generator(3)), spherical_kmeans(points, 7, generator(4)))


def test_fewer_directions_than_prototypes_are_no_trouble() -> None:
    """Duplicates stay where they are; nothing is divided by zero."""
    points = units(2, 5).repeat(6, 1)
    found = spherical_kmeans(points, 4, generator())
    assert found.isfinite().all()
    assert ((found @ points[:2].T).amax(1) > 1 - 1e-12).all()
    assert spherical_kmeans(points[:2], 2, generator()).shape == (2, 5)
