"""Comparison: mean and spread over seeds, ranks over data sets, and whether a difference is more than luck."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from tsrep.errors import InputError, nearest
from tsrep.evaluation.tidy import check_tidy

GROUP = ("dataset", "setting", "method", "encoder", "features", "horizon", "metric")


def summary(frame: pd.DataFrame) -> pd.DataFrame:
    """Tidy frame -> one row for each `GROUP`: mean and sd of the value over seeds, seeds (how many), mean seconds.

    sd is that of a sample (n - 1), and NaN with one seed: one run has no spread to show. Raises InputError where a seed
    is counted twice, which would make the spread too small.
    """
    check_tidy(frame)
    twice = frame.duplicated([*GROUP, "seed"])
    if twice.any():
        row = frame.loc[twice].iloc[0]
        raise InputError(
            f"expected every seed once, got seed {row['seed']} of {row['method']} on {row['dataset']} "
            f"({row['features']}, {row['metric']}) twice; leave repeated runs out"
        )
    grouped = frame.groupby(list(GROUP), sort=False, dropna=False)
    out = grouped.agg(
        mean=("value", "mean"), sd=("value", "std"), seeds=("seed", "nunique"), seconds=("seconds", _seconds)
    )
    return out.reset_index()


def table(frame: pd.DataFrame, metric: str = "accuracy") -> pd.DataFrame:
    """Tidy frame -> data set x method, the mean over seeds of one metric; NaN where a method was not run.

    A method that occurs with several encoders or probes has a column for each.
    """
    rows = summary(frame)
    known = rows["metric"].unique().tolist()
    if metric not in known:
        raise InputError(f"expected a metric of {', '.join(known)}, got '{metric}'; {nearest(metric, known)}")
    rows = rows[rows["metric"] == metric].copy()
    rows["name"] = names(rows)
    if rows.duplicated(["dataset", "name"]).any():
        raise InputError("expected one setting and horizon for each data set; choose one of each before comparing")
    return rows.pivot(index="dataset", columns="name", values="mean")[rows["name"].unique().tolist()]


def names(rows: pd.DataFrame) -> pd.Series:
    """What a row is called: its method, and encoder or probe where the method occurs with several of them."""
    out = rows["method"].astype(str)
    for column in ("encoder", "features"):
        several = rows.groupby("method")[column].transform("nunique") > 1
        out = out.where(~several, out + " + " + rows[column].astype(str))
    return out


def ranks(scores: pd.DataFrame, *, ties: str = "average", higher_is_better: bool = True) -> pd.Series:
    """Mean rank of each method over data sets, 1 is best: data set x method -> (method,).

    ties: "average" gives equal methods the mean of their places (as the Friedman test does), "min" gives all of them
    the best; papers differ, so say which. Only data sets that every method was run on count.
    """
    if ties not in ("average", "min"):
        raise InputError(f"expected ties 'average' or 'min', got '{ties}'")
    whole = scores.dropna()
    if whole.empty:
        raise InputError("expected at least one data set that every method was run on, got none")
    return whole.rank(axis=1, ascending=not higher_is_better, method=ties).mean()  # type: ignore[arg-type]


@dataclass(frozen=True)
class Paired:
    """One method against another over the data sets that both were run on.

    difference: mean of the first's score less the second's.  p: two-sided Wilcoxon signed-rank; 1 where nothing
    differs.
    """

    sets: int
    wins: int
    ties: int
    losses: int
    difference: float
    p: float

    def __str__(self) -> str:
        return (
            f"{self.wins} won, {self.ties} tied, {self.losses} lost of {self.sets}; "
            f"mean difference {self.difference:+.4f}, Wilcoxon p = {self.p:.2g}"
        )


def paired(first: np.ndarray, second: np.ndarray) -> Paired:
    """Wilcoxon signed-rank test of two methods' scores (n,), higher is better, NaN where one was not run.

    Ties are left out of the test, as Wilcoxon (1945) did, and counted.
    """
    from scipy.stats import wilcoxon

    first, second = np.asarray(first, float), np.asarray(second, float)
    if first.shape != second.shape or first.ndim != 1:
        raise InputError(f"expected two scores for each data set, got shapes {first.shape} and {second.shape}")
    gap = np.round(first - second, 12)
    gap = gap[~np.isnan(gap)]
    if not len(gap):
        raise InputError("expected at least one data set that both methods were run on, got none")
    p = float(wilcoxon(gap[gap != 0]).pvalue) if (gap != 0).any() else 1.0
    return Paired(len(gap), int((gap > 0).sum()), int((gap == 0).sum()), int((gap < 0).sum()), float(gap.mean()), p)


def _seconds(values: pd.Series) -> float:
    return float(pd.to_numeric(values, errors="coerce").mean())
