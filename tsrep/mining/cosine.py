"""What miners ask of scores that only cosines have."""

from __future__ import annotations

from tsrep.errors import InputError
from tsrep.pairs import Pairs


def temperature(pairs: Pairs, miner: str) -> float:
    """τ of scores that are cosines over τ, so that the least of them is −1/τ. Raises InputError for others, naming the miner."""
    if pairs.floor is None:
        raise InputError(
            f"mining.{miner}: expected scores that are cosines over a temperature, as those of simclr or of autotcl with local=0, "
            f"got scores without a bound, as the dot products of ts2vec; leave {miner} out or take such a method"
        )
    return -1.0 / pairs.floor
