"""The pictures of a run, drawn where they are named: curves of the training, map and confusion of an evaluation, forecasts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from tsrep import randomness, registry
from tsrep.data.columns import inputs
from tsrep.data.streams import Streams
from tsrep.evaluating import Evaluation
from tsrep.forecasting import Forecasts
from tsrep.model import Model
from tsrep.plan import Plan
from tsrep.preparing import prepare
from tsrep.series import Series, as_batch, rows_of
from tsrep.suspects import KINDS, Suspects

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def of_training(model: Model) -> dict[str, Figure]:
    """name -> figure: how the loss and the collapse meter went, what a learned view keeps of a few windows, and the pairs that mining
    found bad; of what there is."""
    from tsrep.plots.curves import curves

    others = {} if model.view is None else {"masks": _masks(model)}
    if model.suspects is not None:
        others |= of_suspects(model, model.suspects)
    names = dict.fromkeys(name for line in model.history for name in line if name not in ("step", "rank_of", "rate"))
    if not names:
        return others
    told = {
        "loss/validation" if name == "validation" else name: (
            [line["step"] for line in model.history if name in line],
            [line[name] for line in model.history if name in line],
        )
        for name in names
    }
    return {"curves": curves(told, title=_title(model))} | others


def of_evaluation(model: Model, evaluation: Evaluation) -> dict[str, Figure]:
    """name -> figure: map of the test embeddings, confusion of the best-known probe, scores of all methods."""
    from tsrep.plots.confusion import confusion
    from tsrep.plots.map import embedding_map
    from tsrep.plots.scores import scores

    truth = np.asarray(evaluation.test.label)
    figures = {"map": embedding_map(evaluation.embeddings[1], truth, title=f"{_title(model)}: test windows")}
    method = registry.name_of("methods", model.plan.method)
    for outcome in evaluation.found:
        if outcome.method == method:
            title = f"{_title(model)}: {outcome.probe} probe, test windows"
            figures["confusion"] = confusion(truth, outcome.predicted, title=title)
    table = evaluation.table
    table = table[~table["features"].str.contains("→")]  # of several streams each by itself and all, not every pair
    metric = table["metric"].iloc[0]
    told: Mapping[str, list[float]] = {
        f"{method} + {features}": list(part["value"])
        for (method, features), part in table[table["metric"] == metric].groupby(["method", "features"], sort=False)
    }
    chance = None
    if metric == "accuracy":
        chance = float(np.unique(truth, return_counts=True)[1].max() / len(evaluation.test))
    ours = [name for name in told if name.startswith(method)]
    figures["scores"] = scores(told, metric=str(metric), chance=chance, highlight=ours, title=_title(model))
    return figures


def of_forecasts(model: Model, found: Forecasts) -> dict[str, Figure]:
    """name -> figure: a few windows of the part that was measured with what each method said of them, and the errors by horizon."""
    from tsrep.plots.forecasts import forecasts, horizons

    method = registry.name_of("methods", model.plan.method)
    table = found.table[(found.table["metric"] == "mse") & (found.table["horizon"] != "mean")]
    errors: dict[str, dict[int, list[float]]] = {}
    for row in table.itertuples():
        # Called as the examples are.
        name = str(row.method) if row.encoder == "none" else f"{row.method}, {row.features}"
        errors.setdefault(name, {}).setdefault(int(str(row.horizon)), []).append(float(str(row.value)))
    ours = [name for name in errors if name.startswith(f"{method}, ")]
    title = f"{_title(model)}: {found.part} part"
    return {
        "forecasts": forecasts(found.past, found.future, found.examples, highlight=ours, title=title),
        "horizons": horizons(errors, highlight=ours, title=title),
    }


def of_suspects(model: Model, suspects: Suspects) -> dict[str, Figure]:
    """name -> figure: what bad-pair mining remembers of every pair, and the views of those that lost least and most; none where the
    run was shorter than an epoch."""
    from tsrep.plots.bad_pairs import bad_pairs

    first = next(iter(model.streams.values()), None)  # whose views are kept
    channels = inputs(model.data.channels, model.plan.data.independent) if first is None else first.channels
    remembered = {term: found for term, found in suspects.found.items() if found.epochs}
    if not remembered:
        return {}
    names = []
    for row in suspects.rows.tolist():
        told = f"row {row}: {KINDS[int(suspects.first.kind[row])]}, loss {float(suspects.first.mean[row]):.3g}"
        names.append(told if suspects.origin is None else f"{told}\n{suspects.origin.called(row)}")
    figure = bad_pairs(
        {
            term: (found.mean.numpy(), *((found.low, found.high) if found.weighs else (np.nan, np.nan)))
            for term, found in remembered.items()
        },
        names,
        suspects.views,
        suspects.start,
        channels=channels,
        rate=model.data.rate,
        title=f"{_title(model)}: what the positive pairs lost",
    )
    return {"bad_pairs": figure}


def of_ranks(accuracy: pd.DataFrame, *, highlight: Sequence[str] = (), title: str = "Average rank") -> Figure:
    """The critical-difference picture of a benchmark: average ranks, and bars under methods of which no two differ by Wilcoxon-Holm.

    accuracy: tidy rows of one metric and setting; on which sets ranks are taken is told by `evaluation.page.common`.
    highlight: methods drawn in colour.
    """
    from tsrep.evaluation.cliques import LEVEL, cliques
    from tsrep.evaluation.compare import ranks
    from tsrep.evaluation.page import common, means
    from tsrep.plots.ranks import critical_difference

    scores = common(means(accuracy))
    said = f"{title}: {len(scores)} sets, bars: no two differ (Wilcoxon signed-rank, Holm, {LEVEL:g})"
    places = {str(name): float(rank) for name, rank in ranks(scores).items()}
    chosen = [name for name in places if name.partition(" (")[0] in highlight]
    return critical_difference(places, cliques(scores), highlight=chosen, title=said)


def of_devices(streams: Streams, plan: Plan, *, batches: int = 16, title: str = "Which devices are alike") -> Figure:
    """The devices that ColloSSL's selection takes for each anchor in batches of these windows, scaled as the plan's training is.

    streams: the training windows. plan: with ColloSSL's method; its batch size and seed are those of the picture.
    """
    from tsrep.mining.device_selection import DeviceSelection, acceleration
    from tsrep.pairs import Alone
    from tsrep.plots.devices import devices

    prepared = prepare(streams, plan)
    batch = as_batch(prepared.train)
    names = tuple(batch)
    select = DeviceSelection(
        names, {n: acceleration(prepared.streams[n].channels) for n in names}, plan.method.selection
    )
    generator = randomness.generator(plan.seed, randomness.VIEWS, 0, 0)
    size = min(plan.training.batch_size, rows_of(batch))
    apart, chosen = [], []
    for _ in range(batches):
        rows = torch.randperm(rows_of(batch), generator=generator)[:size]
        part = {name: series.rows(rows) for name, series in batch.items()}
        apart.append(select.compared(part, Alone()).numpy())
        chosen.append(select(part, Alone(), generator)[0].numpy())
    return devices(names, np.stack(apart), np.stack(chosen), title=title)


def write(figures: Mapping[str, Figure], folder: Path) -> list[Path]:
    """A PNG for each figure; the files."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, figure in figures.items():
        paths.append(folder / f"{name}.png")
        figure.savefig(paths[-1], dpi=140)
    return paths


def _masks(model: Model) -> Figure:
    from tsrep.plots.masks import masks
    from tsrep.views.learned import gates

    series = Series.of(torch.from_numpy(model.inputs(model.scaled(model.check))))
    kept, view = gates(model.view, series)  # type: ignore[arg-type]
    missing = ~series.observed.numpy()
    shown, seen = (np.where(missing, np.nan, values.numpy()) for values in (series.values, view))
    channels = inputs(model.data.channels, model.plan.data.independent)
    title = f"{_title(model)}: what the learned view keeps"
    return masks(shown, kept.numpy(), seen, channels=channels, rate=model.data.rate, title=title)


def _title(model: Model) -> str:
    method = registry.name_of("methods", model.plan.method)
    return f"{method} on {model.data.name}" if model.data.name else method
