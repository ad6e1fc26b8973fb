"""The main job in one go: from unlabelled windows to a served embedder. `make demo` runs it.

BasicMotions (smartwatch accelerometer and gyroscope, shipped inside the sktime wheel): pretrain without labels, evaluate with the
baselines beside it, track and register in MLflow (a SQLite file), serve with BentoML, embed a window over HTTP, and print its
nearest training windows with their labels. Everything goes to one folder; no process is left behind.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
import urllib.request
from pathlib import Path

import numpy as np
from rich.console import Console
from tsrep_deploy.running import running

import tsrep

DATA = "BasicMotions"
NAME = "basic-motions"
WINDOW = 10
"""The test window that is sent."""

console = Console(highlight=False, soft_wrap=True)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--steps", type=int, default=None, help="training steps, fewer for a quick look")
    chosen = options.parse_args()
    began = time.perf_counter()
    out = Path("runs/demo")
    if (out / "plan.yaml").is_file():
        shutil.rmtree(out)

    heading("1  Learn from 40 windows without labels")
    training = {} if chosen.steps is None else {"steps": chosen.steps}
    observers = {"mlflow": {"experiment": "demo", "register": NAME}}
    model = tsrep.fit(DATA, method="ts2vec", training=training, seed=0, out=out, observers=observers, progress=True)

    heading("2  Measure on the official test part, beside the baselines")
    found = tsrep.evaluate(model, DATA, task="classify")
    tsrep.show_results(found.table)
    written = tsrep.keep_results(model, found, out)

    heading("3  Load the registered champion, and serve it")
    champion = tsrep.load(f"models:/{NAME}@champion")
    data = tsrep.load_dataset(DATA)
    query = data.test.values[WINDOW]
    with running(out) as address:
        answer = post(f"{address}/v1/embed", {"windows": [query.tolist()]})
    served = np.array(answer["embeddings"], np.float32)
    difference = float(np.abs(served - champion.embed(query[None])).max())
    console.print(
        f"POST /v1/embed gave {served.shape[1]} numbers; they differ from the registered model's by {difference:.1e}"
    )

    heading("4  The nearest training windows of the window that was sent")
    distance, index = tsrep.nearest(served, champion.embed(data.train), k=5)
    for place, (row, far) in enumerate(zip(index[0], distance[0], strict=True), 1):
        console.print(f"  {place}. training window {row:>2}  {data.train.label[row]:<10} cosine distance {far:.4f}")
    console.print(f"  the window that was sent: test window {WINDOW}, {data.test.label[WINDOW]}")
    picture = tsrep.neighbours_picture(
        query, data.train.values[index[0]], distance=distance[0], labels=data.train.label[index[0]],
        query_label=data.test.label[WINDOW], channels=data.train.channels, rate=data.train.rate,
    )  # fmt: skip
    written.insert(-1, out / "evaluation" / "nearest.png")
    picture.savefig(written[-2], dpi=140)

    heading("5  What was written")
    for path in written:
        console.print(f"  {path}")
    console.print(
        f"  MLflow in {os.environ.get('MLFLOW_TRACKING_URI', 'runs/mlflow.db')}: the run, and the model '{NAME}@champion'"
    )
    console.print(
        f"\n[bold green]done[/] in {time.perf_counter() - began:.0f} s; serve it yourself: [bold]make serve[/]"
    )


def heading(text: str) -> None:
    console.print(f"\n[bold]{text}[/]")


def post(url: str, body: dict) -> dict:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


if __name__ == "__main__":
    main()
