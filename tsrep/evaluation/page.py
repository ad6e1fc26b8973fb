"""Page: what a classification benchmark says, as Markdown to read beside its CSV. Everything on it is computed from the rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from tsrep.errors import InputError
from tsrep.evaluation.compare import paired, ranks, summary
from tsrep.evaluation.report import number
from tsrep.evaluation.tidy import check_tidy

WHOLE = "classify"
"""The setting in which the probe sees all labels; "<share> of labels, draw <number>" are those in which it sees few."""

COSTS = ("training seconds", "embedding seconds", "memory MB")
NONE = "–"


def page(
    frame: pd.DataFrame,
    *,
    against: str = "minirocket",
    hosts: Mapping[str, str] | None = None,
    published: Mapping[str, float] | None = None,
    published_for: tuple[str, str] = ("ts2vec", "max, svm"),
    uneven: Sequence[str] = (),
) -> str:
    """Tidy rows -> Markdown.

    against:   the baseline that every method is tested against over data sets.
    hosts:     method -> the method that it adds something to: tested over data sets, in pairs of means over the seeds of both.
    published: data set -> accuracy of `published_for`, (method, features), a column beside it.
    uneven:    data sets with rare classes, whose macro F1 is shown too.
    """
    check_tidy(frame)
    whole = frame[frame["setting"] == WHOLE]
    accuracy = whole[whole["metric"] == "accuracy"]
    if accuracy.empty:
        raise InputError(f"expected accuracies with setting '{WHOLE}', got none")
    parts = [
        _together(accuracy, against),
        *(_by_set(accuracy, reading, published or {}, published_for) for reading in _readings(accuracy)),
        *(_added(accuracy, guest, host) for guest, host in (hosts or {}).items()),
        _few(frame[frame["setting"].str.contains(" of labels")]),
        _uneven(whole[(whole["metric"] == "macro F1") & whole["dataset"].isin(uneven)]),
        _costs(whole[whole["metric"].isin(COSTS)]),
        _missing(accuracy),
    ]
    return "\n".join(part for part in parts if part)


def means(accuracy: pd.DataFrame) -> pd.DataFrame:
    """Tidy rows of one metric and setting -> data set x "method (features)", mean over seeds, NaN where it was not run."""
    rows = summary(accuracy)
    rows["name"] = rows["method"] + " (" + rows["features"] + ")"
    table = rows.pivot(index="dataset", columns="name", values="mean")
    return table.loc[rows["dataset"].unique().tolist(), rows["name"].unique().tolist()]


def common(scores: pd.DataFrame, least: float = 0.5) -> pd.DataFrame:
    """The part of a table data set x method on which ranks can be taken: methods that were run on more than this share of the data
    sets, and of these the sets that all of them were run on."""
    return scores.loc[:, scores.notna().mean() > least].dropna()


def _together(accuracy: pd.DataFrame, against: str) -> str:
    scores = means(accuracy)
    ranked = common(scores)
    places = ranks(ranked) if ranked.size else pd.Series(dtype=float)
    seeds = accuracy.groupby(accuracy["method"] + " (" + accuracy["features"] + ")")["seed"].nunique()
    names = [str(name) for name in scores.columns]
    base = next((name for name in names if name.startswith(f"{against} (")), None)
    # Best first; those without a rank, whose means are over other sets, below.
    names.sort(
        key=lambda name: (name not in ranked, -scores[name].mean() if name not in ranked else -ranked[name].mean())
    )
    lines = []
    for name in names:
        own = scores[name].to_numpy(float)
        line = [name, str(int(scores[name].notna().sum())), str(seeds[name]), f"{own[~np.isnan(own)].mean():.3f}"]
        line += [f"{ranked[name].mean():.3f}", f"{places[name]:.2f}"] if name in ranked else [NONE] * 2
        if base is None or name == base or not scores[[name, base]].notna().all(axis=1).any():
            line += [NONE] * 3
        else:
            test = paired(own, scores[base].to_numpy(float))
            line += [f"{test.wins} / {test.ties} / {test.losses}", f"{test.difference:+.3f}", _p(test.p)]
        lines.append(line)
    told = (
        "Accuracy, the mean over seeds first, then over sets. "
        f"Ranks and the mean on common sets are over the {len(ranked)} sets that all {ranked.shape[1]} rows with a rank were run on; "
        "rows run on half of the sets or fewer have none. Methods that are equal on a set share the mean of their places. "
        f"Beside it, over sets: won, tied and lost against {against}, mean difference, two-sided Wilcoxon signed-rank p, uncorrected "
        "(zero differences left out).\n"
    )
    head = ["method (readout, probe)", "sets", "seeds", "mean", "mean on common sets", "average rank"]
    head += [f"against {against}", "difference", "p"]
    return f"## All sets together\n\n{told}\n{_table(head, lines)}"


def _by_set(
    accuracy: pd.DataFrame, reading: str, published: Mapping[str, float], published_for: tuple[str, str]
) -> str:
    """Learned methods read in one way, beside the baselines that are read in their own."""
    rows = summary(accuracy[(accuracy["features"] == reading) | (accuracy["encoder"] == "none")])
    baseline = rows["method"][rows["encoder"] == "none"].unique().tolist()
    methods = [str(m) for m in rows["method"].unique() if m not in baseline] + baseline
    middle, spread = (rows.pivot(index="dataset", columns="method", values=what)[methods] for what in ("mean", "sd"))
    cited = published_for[1] == reading and published_for[0] in methods and bool(published)
    lines = []
    for dataset in [d for d in accuracy["dataset"].unique() if d in middle.index]:
        value, sd = middle.loc[dataset].to_numpy(float), spread.loc[dataset].to_numpy(float)
        best = np.nanmax(value.round(3))
        cells = [NONE if np.isnan(v) else number(v, s) for v, s in zip(value, sd, strict=True)]
        cells = [f"**{cell}**" if round(v, 3) == best else cell for cell, v in zip(cells, value, strict=True)]
        more = [f"{published[dataset]:.3f}" if dataset in published else NONE] if cited else []
        lines.append([str(dataset), *cells, *more])
    shared = common(middle)
    averages = [f"{shared[m].mean():.3f}" if m in shared else NONE for m in methods]
    lines.append([f"mean of the {len(shared)} common sets", *averages, *([NONE] if cited else [])])
    head = ["data set", *methods, *([f"{published_for[0]}, published"] if cited else [])]
    text = f"## {reading}, by set\n\nMean ± standard deviation over seeds.\n\n{_table(head, lines)}"
    found = middle[published_for[0]].dropna().to_dict() if cited else {}
    both = [str(d) for d in found if d in published]
    if both:
        ours, theirs = (float(np.mean([of[d] for d in both])) for of in (found, published))
        text += f"\nOver the {len(both)} sets with a published number: {ours:.3f} here, {theirs:.3f} published "
        text += f"({ours - theirs:+.3f}).\n"
    return text


def _added(accuracy: pd.DataFrame, guest: str, host: str) -> str:
    """One method against the method that it adds to: pairs of one seed and one set are averaged over seeds, sets are tested.

    Seeds of one set see the same windows and labels: taken for independent, they would make luck on one set look like more than that.
    """
    keys = ["features", "dataset", "seed"]
    ours, theirs = (accuracy[accuracy["method"] == m][[*keys, "value"]] for m in (guest, host))
    both = ours.merge(theirs, on=keys, suffixes=("", "_host"))
    if both.empty:
        return ""
    lines, worse = [], []
    for reading, part in both.groupby("features", sort=False):
        of = part.groupby("dataset", sort=False)[["value", "value_host"]].mean()
        sets = paired(of["value"].to_numpy(), of["value_host"].to_numpy())
        gap = (part["value"] - part["value_host"]).round(12)
        spread = gap.groupby(part["dataset"]).std().mean()  # over the seeds of a set; NaN where all have one
        lines.append(
            [
                str(reading), str(sets.sets), _counts(part.groupby("dataset")["seed"].nunique()),
                f"{of['value'].mean():.3f}", f"{of['value_host'].mean():.3f}", f"{sets.difference:+.4f}",
                NONE if np.isnan(spread) else f"{spread:.4f}", f"{(gap > 0).sum()} / {(gap == 0).sum()} / {(gap < 0).sum()}",
                f"{sets.wins} / {sets.ties} / {sets.losses}", _p(sets.p),
            ]
        )  # fmt: skip
        down = (of["value"] - of["value_host"]).round(12)
        named = ", ".join(f"{name} {loss:+.3f}" for name, loss in down[down < 0].sort_values().items())
        worse.append(f"- {reading}: {named or 'none'}\n")
    head = ["readout, probe", "sets (n)", "seeds", guest, host, "difference", "sd over seeds"]
    head += ["runs won / tied / lost", "sets won / tied / lost", "p over sets"]
    told = (
        "Two-sided Wilcoxon signed-rank over n sets, in pairs of means over seeds (zero differences left out). Runs, pairs of one seed "
        "and one set, are counted and not tested: those of a set are not independent. Sd over seeds: of the difference within a set, "
        "mean over sets.\n"
    )
    return f"## {guest} against {host}\n\n{told}\n{_table(head, lines)}\nWorse on\n\n{''.join(worse)}"


def _counts(numbers: pd.Series) -> str:
    """All one number, or from the least to the most."""
    low, high = int(numbers.min()), int(numbers.max())
    return str(low) if low == high else f"{low}–{high}"


def _few(frame: pd.DataFrame) -> str:
    rows = frame[frame["metric"].isin(("accuracy", "macro F1"))].copy()
    if rows.empty:
        return ""
    rows["share"] = rows["setting"].str.partition(" of labels")[0]
    shares = rows["share"].unique().tolist()
    draws = rows["setting"].nunique() // len(shares)
    text = (
        "## Few labels\n\nEmbeddings learned on the whole training part without labels; the probe sees a stratified share of it. "
        f"Mean ± standard deviation over {draws} draws and the seeds.\n"
    )
    for dataset, here in rows.groupby("dataset", sort=False):
        lines = []
        for (method, features), part in here.groupby(["method", "features"], sort=False):
            cells = []
            for share in shares:
                for metric in ("accuracy", "macro F1"):
                    values = part[(part["share"] == share) & (part["metric"] == metric)]["value"]
                    cells.append(number(values.mean(), values.std()) if len(values) else NONE)
            lines.append([f"{method} ({features})", *cells])
        head = [
            f"{dataset}: method (readout, probe)",
            *(f"{share}, {m}" for share in shares for m in ("accuracy", "macro F1")),
        ]
        text += f"\n{_table(head, lines)}"
    return text


def _uneven(f1: pd.DataFrame) -> str:
    if f1.empty:
        return ""
    rows = summary(f1)
    sets = rows["dataset"].unique().tolist()
    lines = []
    for (method, features), part in rows.groupby(["method", "features"], sort=False):
        of = part.set_index("dataset")
        lines.append(
            [f"{method} ({features})", *(number(of["mean"][d], of["sd"][d]) if d in of.index else NONE for d in sets)]
        )
    return f"## Macro F1 where classes are uneven\n\n{_table(['method (readout, probe)', *sets], lines)}"


def _costs(rows: pd.DataFrame) -> str:
    if rows.empty:
        return ""
    table = rows.groupby(["method", "dataset", "metric"], sort=False)["value"].mean().unstack("metric")
    lines = []
    for method, part in table.reindex(columns=list(COSTS)).groupby(level="method", sort=False):
        of = part.droplevel("method")
        cells = [str(method), str(len(of))]
        for cost in COSTS:
            seen, digits = of[cost].dropna(), 0 if cost == "memory MB" else 1
            if seen.empty:
                cells += [NONE] * (2 + digits)
                continue
            cells += [f"{seen.median():.{digits}f}", f"{seen.max():.{digits}f} ({seen.idxmax()})"]
            cells += [f"{seen.sum():.0f}"] * digits  # of seconds; a sum of memory means nothing
        lines.append(cells)
    head = ["method", "sets"]
    head += [f"{what} s, {how}" for what in ("training", "embedding") for how in ("median", "largest", "all sets")]
    head += ["memory MB, median", "memory MB, largest"]
    told = (
        "Seconds of the processor, one thread a run, mean over seeds. Memory: how far the peak of a fresh process rose above what it "
        "held with libraries and data loaded, up to the finished features. Embedding of baselines: their features, or the search for "
        "neighbours.\n"
    )
    return f"## Time and memory\n\n{told}\n{_table(head, lines)}"


def _missing(accuracy: pd.DataFrame) -> str:
    sets = accuracy["dataset"].unique()
    lines = []
    for method, part in accuracy.groupby("method", sort=False):
        absent = [d for d in sets if d not in set(part["dataset"])]
        if absent:
            lines.append(f"- {method}: {', '.join(absent)}\n")
    return f"## Not run\n\n{''.join(lines)}" if lines else ""


def _readings(accuracy: pd.DataFrame) -> Iterable[str]:
    """What learned methods are read by, where at least half of their sets are."""
    learned = accuracy[accuracy["encoder"] != "none"]
    sets = learned.groupby("features", sort=False)["dataset"].nunique()
    return [str(name) for name, count in sets.items() if 2 * count > learned["dataset"].nunique()]


def _p(p: float) -> str:
    return f"{p:.2g}"


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Markdown; the first column, names, to the left, the others, numbers, to the right."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "".join("| " + " | ".join(row) + " |\n" for row in (head, rule, *lines))
