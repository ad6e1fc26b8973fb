"""Report: a tidy frame as a table to read, in a terminal or README. Method by metric, mean and spread over seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tsrep.evaluation.compare import summary

if TYPE_CHECKING:
    from rich.table import Table

LOWER_IS_BETTER = ("mse", "mae", "rmse", "loss", "alignment", "uniformity", "seconds", "validation")

FIXED = ("dataset", "setting", "method", "encoder", "probe", "features")
"""Columns that say what a row is of; all others hold numbers."""


def wide(frame: pd.DataFrame) -> pd.DataFrame:
    """Tidy frame -> one row for each data set, method and probe, one column of text for each metric: "0.975 ± 0.012".

    Columns: dataset, setting, method, encoder, probe (of forecasts: features; each but the method only if it tells rows apart), the
    metrics in order of appearance, seeds, seconds. Of forecasts: "mse 24" for each horizon, then "mean mse" and "mean mae" over
    them. One seed shows no spread.
    """
    rows = _rows(frame)
    ahead = bool((_horizon(rows) != "").any())
    rows["text"] = [number(mean, sd) for mean, sd in zip(rows["mean"], rows["sd"], strict=True)]
    keys = ["dataset", "setting", "method", "encoder", "features"]
    grouped = rows.groupby(keys, sort=False, dropna=False)
    out = grouped.agg(seeds=("seeds", "max"), seconds=("seconds", "mean"))
    for metric in rows["metric"].unique():
        here = rows[rows["metric"] == metric].set_index(keys)["text"]
        out.insert(len(out.columns) - 2, metric, here.reindex(out.index).fillna("–"))
    out["seconds"] = ["" if np.isnan(s) else f"{s:.1f}" for s in out["seconds"]]
    out["seeds"] = out["seeds"].astype(str)
    out = out.reset_index()
    for key in keys:
        if key != "method" and out[key].nunique(dropna=False) == 1:
            out = out.drop(columns=key)
    return (out if ahead else out.rename(columns={"features": "probe"})).astype(str)


def markdown(frame: pd.DataFrame) -> str:
    """Tidy frame -> a Markdown table, the best of each metric in bold (where several rows share a data set)."""
    text = wide(frame)
    rows = _rows(frame)
    for metric in rows["metric"].unique():
        for line in _best(rows, metric):
            text.loc[line, metric] = f"**{text.loc[line, metric]}**"
    lines = [
        "| " + " | ".join(text.columns) + " |",
        "| " + " | ".join("---" if name in FIXED else "---:" for name in text.columns) + " |",
        *("| " + " | ".join(row) + " |" for row in text.itertuples(index=False, name=None)),
    ]
    return "\n".join(lines) + "\n"


def table(frame: pd.DataFrame, title: str = "") -> Table:
    """Tidy frame -> a rich table for the terminal, the best of each metric in bold."""
    from rich.table import Table

    text = wide(frame)
    rows = _rows(frame)
    best = {metric: set(_best(rows, metric)) for metric in rows["metric"].unique()}
    out = Table(title=title or None, title_justify="left", header_style="bold")
    for name in text.columns:
        # "mse 24" on two lines: numbers are narrow, and there may be many of them side by side.
        out.add_column(name.replace(" ", "\n"), justify="left" if name in FIXED else "right", no_wrap=True)
    for line, row in text.iterrows():
        cells = [f"[bold]{row[name]}[/bold]" if line in best.get(name, ()) else row[name] for name in text.columns]
        out.add_row(*cells)
    return out


def show(frame: pd.DataFrame, title: str = "") -> None:
    """Print the table."""
    from rich.console import Console
    from rich.measure import Measurement

    console, made = Console(), table(frame, title)
    if not console.is_terminal:  # a file or a pipe is as wide as the table
        console.width = max(
            console.width, Measurement.get(console, console.options.update(max_width=1000), made).maximum
        )
    console.print(made)


def number(mean: float, sd: float, digits: int = 3) -> str:
    """Mean and spread as text: "0.975 ± 0.012", and "0.975" where there is no spread."""
    return f"{mean:.{digits}f}" if np.isnan(sd) else f"{mean:.{digits}f} ± {sd:.{digits}f}"


def _rows(frame: pd.DataFrame) -> pd.DataFrame:
    """`summary` with the horizon as a part of the metric: "mse 24", "mean mae". Errors at single horizons are told as MSE alone,
    where there is a mean of the others."""
    rows = summary(frame)
    keys = ["dataset", "setting", "method", "encoder", "features"]
    rows[keys] = rows[keys].fillna("")  # of a table that was read from a file
    horizon, metric = _horizon(rows), rows["metric"].astype(str)
    averaged = set(metric[horizon == "mean"])
    told = (horizon == "") | (horizon == "mean") | (metric == "mse") | ~metric.isin(averaged)
    named = metric.where(horizon == "", metric + " " + horizon).where(horizon != "mean", "mean " + metric)
    return rows.assign(metric=named)[told].reset_index(drop=True)


def _horizon(rows: pd.DataFrame) -> pd.Series:
    """The column as text: a table that was read from a file has NaN where it is empty, and then floats."""
    return rows["horizon"].map(lambda h: "" if pd.isna(h) else f"{h:g}" if isinstance(h, float) else str(h))


def _best(rows: pd.DataFrame, metric: str) -> list[int]:
    """Lines of `wide` that are best at a metric among those of one data set and setting; none if alone. rows: as `_rows` gives them."""
    keys = ["dataset", "setting", "method", "encoder", "features"]
    lines = rows.drop_duplicates(keys)[keys].reset_index(drop=True)
    here = lines.merge(rows[rows["metric"] == metric][[*keys, "mean"]], on=keys, how="left")
    lower = any(word in LOWER_IS_BETTER for word in metric.lower().split())
    value = here["mean"].round(3) * (-1 if lower else 1)
    same = [here["dataset"], here["setting"]]
    top = value.groupby(same, dropna=False).transform("max")
    several = value.groupby(same, dropna=False).transform("size") > 1
    return here.index[(value == top) & several].tolist()
