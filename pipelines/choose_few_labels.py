"""How to read few labels of UCI-HAR, by its training subjects alone: ridge, or ridge that learns from the other windows too.

    TSREP_DATA=... python pipelines/choose_few_labels.py

Untrained `wide`, whose levels and scaling are those of the whole training part, labels apart. Four times seven of the 21 training
subjects, drawn with seed 0, are read; of the windows of the others a share has labels (1.5 % is as many as 1 % of the whole part).
Rows go to `results/few_labels_choice.csv`.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch

import tsrep

OUT = Path(__file__).parent / "results" / "few_labels_choice.csv"
SHARES = (0.015, 0.05, 0.1)
FOLDS, HELD = 4, 7
DRAWS = 3


def main() -> None:
    torch.set_num_threads(1)
    train = tsrep.load_dataset("UCI-HAR").train
    plan, _ = tsrep.make_plan({"encoder": "wide", "seed": 0})
    levels = tsrep.random_model(plan, train).embed(train, "levels")
    label, subject = np.asarray(train.label), np.asarray(train.subject)
    rng, ridge = np.random.default_rng(0), tsrep.probe("ridge")
    rows = []
    for fold in range(FOLDS):
        held = np.isin(subject, rng.permutation(np.unique(subject))[:HELD])
        inside, truth = np.flatnonzero(~held), label[held]
        for share in SHARES:
            for draw in range(DRAWS):
                few = inside[tsrep.stratified_fraction(label[inside], share, seed=draw)]
                rest = np.setdiff1d(inside, few)
                known = levels[few], label[few]
                for features, learned in (
                    ("levels, ridge", known),
                    ("levels, ridge, self-trained", tsrep.pseudo_labelled(*known, levels[rest], seed=draw)),
                ):
                    begin = time.process_time()
                    right = (ridge(*learned, levels[held]) == truth).mean()
                    about = {"setting": f"{100 * share:g} % of labels, draw {draw}", "features": features, "seed": fold}
                    rows.append({**about, "value": right, "seconds": time.process_time() - begin})
    common = {"dataset": "UCI-HAR", "method": "random wide", "encoder": "wide", "metric": "accuracy"}
    table = tsrep.tidy(rows, **common, commit=tsrep.commit())
    table.to_csv(OUT, index=False)
    shares = table["setting"].str.split(",").str[0]
    print(table.pivot_table(index=shares, columns=["features", "seed"], values="value").round(3).to_string())


if __name__ == "__main__":
    main()
