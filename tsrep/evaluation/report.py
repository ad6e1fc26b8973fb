"""Report: a tidy frame as a table to read, in a terminal or README. Method by metric, mean and spread over seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tsrep.evaluation.compare import summary

if TYPE_CHECKING:
    from rich.table import Table

LOWER_IS_BETTER = ("mse", "mae", "rmse", "loss", "alignment", "uniformity", "seconds")


def wide(frame: pd.DataFrame) -> pd.DataFrame:
    """Tidy frame -> one row for each data set, method and probe, one column of text for each metric: "0.975 ± 0.012".

    Columns: dataset, setting, method, probe, horizon (each only if it tells rows apart), the metrics in order of
    appearance, seeds, seconds. One seed shows no spread.
    """
    rows = summary(frame)
    rows["text"] = [number(mean, sd) for mean, sd in zip(rows["mean"], rows["sd"], strict=True)]
    keys = ["dataset", "setting", "method", "encoder", "features", "horizon"]
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
    return out.rename(columns={"features": "probe"}).astype(str)


def markdown(frame: pd.DataFrame) -> str:
    """Tidy frame -> a Markdown table, the best of each metric in bold (where several rows share a data set)."""
    text = wide(frame)
    rows = summary(frame)
    for metric in rows["metric"].unique():
        for line in _best(frame, metric):
            text.loc[line, metric] = f"**{text.loc[line, metric]}**"
    fixed = ["dataset", "setting", "method", "encoder", "probe", "horizon"]
    lines = [
        "| " + " | ".join(text.columns) + " |",
        "| " + " | ".join("---" if name in fixed else "---:" for name in text.columns) + " |",
        *("| " + " | ".join(row) + " |" for row in text.itertuples(index=False, name=None)),
    ]
    return "\n".join(lines) + "\n"


def table(frame: pd.DataFrame, title: str = "") -> Table:
    """Tidy frame -> a rich table for the terminal, the best of each metric in bold."""
    from rich.table import Table

    text = wide(frame)
    best = {metric: set(_best(frame, metric)) for metric in summary(frame)["metric"].unique()}
    out = Table(title=title or None, title_justify="left", header_style="bold")
    for name in text.columns:
        left = name in ("dataset", "setting", "method", "encoder", "probe")
        out.add_column(name, justify="left" if left else "right", no_wrap=True)
    for line, row in text.iterrows():
        cells = [f"[bold]{row[name]}[/bold]" if line in best.get(name, ()) else row[name] for name in text.columns]
        out.add_row(*cells)
    return out


def show(frame: pd.DataFrame, title: str = "") -> None:
    """Print the table."""
    from rich.console import Console

    Console().print(table(frame, title))


def number(mean: float, sd: float, digits: int = 3) -> str:
    """Mean and spread as text: "0.975 ± 0.012", and "0.975" where there is no spread."""
    return f"{mean:.{digits}f}" if np.isnan(sd) else f"{mean:.{digits}f} ± {sd:.{digits}f}"


def _best(frame: pd.DataFrame, metric: str) -> list[int]:
    """Lines of `wide` that are best at a metric among those of one data set, setting and horizon; none if alone."""
    rows = summary(frame)
    keys = ["dataset", "setting", "method", "encoder", "features", "horizon"]
    lines = rows.drop_duplicates(keys)[keys].reset_index(drop=True)
    here = lines.merge(rows[rows["metric"] == metric][[*keys, "mean"]], on=keys, how="left")
    value = here["mean"].round(3) * (-1 if metric.lower() in LOWER_IS_BETTER else 1)
    same = [here["dataset"], here["setting"], here["horizon"]]
    top = value.groupby(same, dropna=False).transform("max")
    several = value.groupby(same, dropna=False).transform("size") > 1
    return here.index[(value == top) & several].tolist()
