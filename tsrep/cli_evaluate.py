"""The command `tsrep evaluate`: one for all tasks, so most of it is what can be asked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tsrep.errors import InputError
from tsrep.terminal import dimmed, say


def evaluate(
    model: Annotated[str, typer.Argument(help="Folder of a model, or models:/name@champion.")],
    data: Annotated[
        str, typer.Argument(help="Labelled data set, or file with a column label; to forecast, one long series.")
    ],
    task: Annotated[str, typer.Option(help="classify, cluster, retrieve, forecast or streams.")] = "classify",
    probe: Annotated[list[str] | None, typer.Option(help="linear, ridge, knn1, knn5, svm; may be repeated.")] = None,
    pool: Annotated[
        str | None,
        typer.Option(
            help="What probes read of labelled data: max, mean, last, rich or levels; the encoder's own by default."
        ),
    ] = None,
    horizons: Annotated[str | None, typer.Option(help="Steps ahead, such as 24,48,168,336,720.")] = None,
    features: Annotated[
        str, typer.Option(help="What a forecast is read off: embedding, both (with raw lags), lags.")
    ] = "embedding,both",
    head: Annotated[
        str,
        typer.Option(
            help="A ridge for each channel (independent), one from all to all (joint), or each from itself by the same (shared)."
        ),
    ] = "independent",
    centre: Annotated[str, typer.Option(help="What is taken off a forecast: none, last or window (RevIN).")] = "last",
    lags: Annotated[int, typer.Option(help="Values of the past that ridge on raw lags sees.")] = 336,
    part: Annotated[
        str, typer.Option(help="Errors of a forecast on test; or on validation, to choose by, the test part unseen.")
    ] = "test",
    labels: Annotated[
        str | None,
        typer.Option(help="Shares of the training labels that are known, such as 1,0.1; classify and streams."),
    ] = None,
    self_training: Annotated[
        bool,
        typer.Option("--self-training", help="With few labels: learn from the other training windows too (classify)."),
    ] = False,
    folds: Annotated[
        int | None, typer.Option(help="Of several streams: leave subjects out, in so many groups; each trains again.")
    ] = None,
    seeds: Annotated[int, typer.Option(help="Train again under further seeds, for mean and spread.")] = 1,
    out: Annotated[
        Path | None, typer.Option(help="Folder of table and pictures; the model's folder/evaluation.")
    ] = None,
) -> None:
    """Measure a model beside a random encoder and the simple baselines of the task.

    They are MiniRocket and catch22 on labelled data; last value, season and ridge on raw lags for a forecast.
    """
    from tsrep.evaluation import report
    from tsrep.loading import load
    from tsrep.reporting import keep

    if pool is not None and task in ("forecast", "streams"):
        raise InputError(f"expected --pool for labelled data of one stream, got --task {task}: leave it out")
    if labels is not None and task not in ("classify", "streams"):
        raise InputError(f"expected --labels for the tasks classify and streams, got --task {task}: leave it out")
    if self_training and task != "classify":
        raise InputError(f"expected --self-training for the task classify, got --task {task}: leave it out")
    shares = [_share("--labels", word.strip()) for word in labels.split(",")] if labels else None
    loaded = load(model)
    found: Any
    if task == "forecast":
        from tsrep.forecast_reading import Head
        from tsrep.forecasting import forecast

        reading: dict[str, Any] = {"kind": head, "centre": centre, "lags": lags}
        measuring: dict[str, Any] = {"part": part, "seeds": seeds}
        wanted = None if horizons is None else [_number("--horizons", word.strip()) for word in horizons.split(",")]
        chosen = [word.strip() for word in features.split(",")]
        found = forecast(
            loaded, data, horizons=wanted, head=Head(**reading), features=chosen, progress=dimmed, **measuring
        )
        shown = found.table[found.table["metric"] != "validation"]
    elif task == "streams":
        from tsrep.evaluating_streams import evaluate_streams

        asked: dict[str, Any] = {"shares": shares or (1.0, 0.1), "folds": folds, "seeds": seeds, "progress": dimmed}
        found = evaluate_streams(loaded, data, probes=probe or ("linear",), **asked)
        # The file has every pair of streams; here are their means, or the few that there are.
        pairs = "^(?!retrieval).* → " if len(loaded.streams) < 3 else ".* → "
        shown = found.table[~found.table["features"].str.match(pairs)]
    else:
        from tsrep.evaluating import PROBES
        from tsrep.evaluating import evaluate as measure

        known: dict[str, Any] = {"shares": shares or (1.0,), "self_training": self_training}
        asked = {"task": task, "pool": pool, "probes": probe or PROBES, "seeds": seeds, **known}
        found = measure(loaded, data, progress=dimmed, **asked)
        shown = found.table
    report.show(shown, f"{task} on {data}")
    say("table, pictures and card: " + ", ".join(str(path) for path in keep(loaded, found, model, out)))


def _number(flag: str, text: str) -> int:
    if not text.isdecimal():
        raise InputError(f"expected a whole number after {flag}, got '{text}'")
    return int(text)


def _share(flag: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"expected a share such as 0.1 after {flag}, got '{text}'") from None
