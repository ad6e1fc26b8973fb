"""What is kept of an evaluation: table, pictures, the model's card, and whoever else keeps results (MLflow)."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

from tsrep import pictures
from tsrep.evaluating import Evaluation
from tsrep.forecasting import Forecasts
from tsrep.model import Model
from tsrep.plugins import every


def keep(model: Model, found: Evaluation | Forecasts, path: str | Path, folder: Path | None = None) -> list[Path]:
    """Write the results of a model that was loaded from (or saved to) `path`; the files that were written.

    found:  what `evaluate` or `forecast` gave. All of its table is kept; the card shows of forecasts the mean over horizons.
    path:   folder of the model, whose card gets the results, or its address such as models:/name@champion.
    folder: of table and pictures; None: `evaluation` in the model's folder, or here.
    """
    local = Path(path).is_dir()
    folder = folder or (Path(path) / "evaluation" if local else Path("evaluation"))
    name, task = found.table[["dataset", "setting"]].iloc[0]
    stem = re.sub(r"[^\w.\-]+", "-", f"{name or 'data'}-{task}")
    if isinstance(found, Forecasts):
        figures = pictures.of_forecasts(model, found) | pictures.of_training(model)
    else:
        figures = pictures.of_evaluation(model, found) | pictures.of_training(model)
    written = pictures.write(figures, folder / stem)
    found.table.to_csv(folder / f"{stem}.csv", index=False)
    if local:
        others = [line for line in model.results if (line["dataset"], line["setting"]) != (name, task)]
        results = others + json.loads(found.table.to_json(orient="records"))
        written.append(replace(model, results=results).save(path) / "README.md")
    for report in every("reporters"):
        report(path, found.table, figures)
    return [folder / f"{stem}.csv", *written]
