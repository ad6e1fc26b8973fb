"""The critical-difference picture: every method at its rank, every clique a bar over its members."""

import numpy as np
import pytest

from tsrep.errors import InputError
from tsrep.plots.ranks import critical_difference

RANKS = {"third": 2.9, "best": 1.25, "last": 4.0, "second": 1.85}


def test_methods_stand_at_their_ranks_and_bars_join_cliques() -> None:
    figure = critical_difference(RANKS, [("best", "second"), ("third", "last")], highlight=["best"])
    (ax,) = figure.axes
    lines = [np.asarray(line.get_xydata()) for line in ax.lines]
    stems = {float(line[0, 0]) for line in lines if len(line) == 3}
    assert stems == set(RANKS.values())
    bars = [line.get_xdata() for line in ax.lines if line.get_linewidth() > 3]
    assert [tuple(map(float, bar)) for bar in bars] == [(1.25, 1.85), (2.9, 4.0)]
    told = [text.get_text() for text in ax.texts]
    assert "best  1.25" in told
    assert "4.00  last" in told
    colours = {text.get_text(): text.get_color() for text in ax.texts}
    assert colours["best  1.25"] != colours["second  1.85"] == colours["4.00  last"]
    deep = min(line[:, 1].min() for line, drawn in zip(lines, ax.lines, strict=True) if drawn.get_linewidth() > 3)
    assert all(line[1, 1] < deep for line in lines if len(line) == 3)  # names lie below the bars


def test_a_clique_of_strangers_and_a_single_method_are_refused() -> None:
    with pytest.raises(InputError, match="cliques of methods with a rank, got nobody"):
        critical_difference(RANKS, [("best", "nobody")])
    with pytest.raises(InputError, match="two methods or more"):
        critical_difference({"best": 1.0})
    with pytest.raises(InputError, match="finite"):
        critical_difference({"best": 1.0, "other": float("nan")})
