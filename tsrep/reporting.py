"""What is kept of an evaluation: table, pictures, the model's card, and whoever else keeps results (MLflow)."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from tsrep import pictures
from tsrep.evaluating import Evaluation
from tsrep.model import Model
from tsrep.plugins import every


def keep(model: Model, evaluation: Evaluation, path: str | Path, folder: Path | None = None) -> list[Path]:
    """Write the results of a model that was loaded from (or saved to) `path`; the files that were written.

    path:   folder of the model, whose card gets the results, or its address such as models:/name@champion.
    folder: of table and pictures; None: `evaluation` in the model's folder, or here.
    """
    local = Path(path).is_dir()
    folder = folder or (Path(path) / "evaluation" if local else Path("evaluation"))
    name, task = evaluation.table[["dataset", "setting"]].iloc[0]
    stem = f"{name.replace(':', '-') or 'data'}-{task}"
    figures = pictures.of_evaluation(model, evaluation) | pictures.of_training(model)
    written = pictures.write(figures, folder / stem)
    evaluation.table.to_csv(folder / f"{stem}.csv", index=False)
    if local:
        others = [line for line in model.results if (line["dataset"], line["setting"]) != (name, task)]
        results = others + json.loads(evaluation.table.to_json(orient="records"))
        written.append(replace(model, results=results).save(path) / "README.md")
    for report in every("reporters"):
        report(path, evaluation.table, figures)
    return [folder / f"{stem}.csv", *written]
