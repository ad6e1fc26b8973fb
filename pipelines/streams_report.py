"""Tables, tests and pictures of the benchmark of several streams, made of the rows of its CSV alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

import tsrep

MAIN = {"cross-modal": "accuracy", "latent": "accuracy", "devices": "macro F1", "objectives": "macro F1"}
DRAW = r", draw \d+$"


def pages(rows: pd.DataFrame, hosts: Mapping[str, str], betas: Sequence[float], out: Path) -> str:
    """Markdown of all settings, written to `<out>_table.md`; pictures beside it."""
    rows = rows.assign(read=rows["features"].str.replace(DRAW, "", regex=True))
    head = f"# Several streams: tables\n\nMade of `{out.name}` by `python pipelines/benchmark.py streams`; not to be edited.\n"
    text = head + "".join(
        section(part, str(name), str(setting))
        for (setting, name), part in rows.groupby(["setting", "dataset"], sort=False)
    )
    text += tests(rows, hosts)
    out.with_name(f"{out.stem}_table.md").write_text(text)
    swept = sweep(rows, betas)
    if swept:
        tsrep.sweep_picture(
            swept,
            setting="β, how much nearness counts among negatives",
            metric="accuracy",
            title="UTD-MHAD: hard negatives",
        ).savefig(out.with_name(f"{out.stem}_beta.png"), dpi=130, bbox_inches="tight")
    shown = rows[main(rows) & ~rows["features"].str.contains("→|draw|retrieval")]
    shown = shown[shown["features"].str.match(r"both|all|within|across|skeleton, ")]
    shown = shown[(shown["setting"] != "cross-modal") | shown["features"].str.startswith("both")]
    shown = shown.assign(features=shown["features"].str.replace(r"both, |skeleton, | \(mean\)", "", regex=True))
    for setting, part in shown.groupby("setting", sort=False):
        tsrep.benchmark_picture(part, title=f"{setting}: {MAIN[str(setting)]}").savefig(
            out.with_name(f"{out.stem}_{setting}.png"), dpi=130
        )
    return text


def main(rows: pd.DataFrame) -> pd.Series:
    return rows["metric"] == rows["setting"].map(MAIN)


def section(part: pd.DataFrame, name: str, setting: str) -> str:
    """A table of means over draws and seeds, with the deviation over seeds where there are several."""
    found = part[main(part) | part["metric"].isin(["top-1", "mean rank", "kept"])]
    pairs = found["read"].str.contains("→") & ~found["read"].str.contains("retrieval")
    found = found[~pairs]
    reads = [
        read
        for read in found["read"].unique()
        if name not in ("Berkeley-MHAD", "PTE") or "(mean)" in read or read.startswith("all")
    ]
    methods = list(dict.fromkeys(found["method"]))
    lines = [
        f"\n## {setting}: {name}\n",
        f"| {MAIN[setting]} | {' | '.join(methods)} |",
        "| --- |" + " ---: |" * len(methods),
    ]
    for read in reads:
        for metric in found[found["read"] == read]["metric"].unique():
            here = found[(found["read"] == read) & (found["metric"] == metric)]
            by_seed = here.groupby(["method", "seed"])["value"].mean().unstack("seed")
            cells = [cell(by_seed.loc[m].dropna().to_numpy()) if m in by_seed.index else "" for m in methods]
            what = read if metric == MAIN[setting] else f"{read}: {metric}"
            lines.append(f"| {what} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def cell(values: np.ndarray) -> str:
    spread = f" ± {values.std(ddof=1):.3f}" if len(values) > 1 else ""
    return f"{values.mean():.3f}{spread}"


def tests(rows: pd.DataFrame, hosts: Mapping[str, str]) -> str:
    """Each method against its host, paired over sets and seeds of one way of reading. Draws of labels share a training: they are
    averaged, not counted as so many pairs."""
    lines = [
        "\n## Against the host, paired over sets and seeds\n",
        "| method | read | pairs | difference | wins | losses | p (Wilcoxon) |",
    ]
    lines.append("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    chosen = rows[main(rows) & ~rows["read"].str.contains("→")]
    means = chosen.groupby(["method", "read", "dataset", "setting", "seed"])["value"].mean()
    for method, host in hosts.items():
        for read in chosen.loc[chosen["method"] == method, "read"].unique():
            if not {(method, read), (host, read)} <= set(means.index.droplevel([2, 3, 4])):
                continue
            both = means[method, read].to_frame().join(means[host, read].rename("host"), how="inner")
            if both.empty:
                continue
            found = tsrep.paired(both["value"].to_numpy(), both["host"].to_numpy())
            p = "" if not np.isfinite(found.p) else f"{found.p:.3f}"
            lines.append(
                f"| {method} | {read} | {len(both)} | {found.difference:+.3f} | {found.wins} | {found.losses} | {p} |"
            )
    return "\n".join(lines) + "\n"


def sweep(rows: pd.DataFrame, betas: Sequence[float]) -> dict[str, dict[float, list[float]]]:
    """How it was read -> beta -> a number for each seed and draw."""
    of = rows[(rows["setting"] == "cross-modal") & main(rows) & rows["read"].str.startswith("both, own")]
    lines: dict[str, dict[float, list[float]]] = {}
    for beta in betas:
        part = of[of["method"] == f"skeleton_imu beta {beta:g}"]
        for read, values in part.groupby("read", sort=False)["value"]:
            lines.setdefault(str(read), {})[beta] = values.tolist()
    return lines
