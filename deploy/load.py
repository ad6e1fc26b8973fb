"""How much the service bears, what a request costs, and whether bad input harms it: as ratios from one run on one machine.

    python -m tsrep_deploy.load [throughput cost latency memory overload start fuzz] [--rounds 5] [--out pipelines/results/serving.csv]

The service runs in its own processes and is asked over the loopback; every ratio has its reference measured in the same run, the two in
turn, the median over rounds told. Parts that are named replace their own rows of the file and leave all others.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import pandas as pd

import tsrep

from .measures import PARTS, models


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("parts", nargs="*", metavar="part", help=f"{', '.join(PARTS)}; all of them by default")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--out", type=Path, help="file of rows; none is written without it")
    chosen = options.parse_args()
    unknown = sorted(set(chosen.parts) - set(PARTS))
    if unknown:
        options.error(f"expected parts of {', '.join(PARTS)}, got {', '.join(unknown)}")
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        models(Path(folder))
        for part in chosen.parts or PARTS:

            def tell(what: str, setting: str, value: float, unit: str, part: str = part) -> None:
                print(f"{what:<86} {setting:>9} {value:11.3f} {unit}", flush=True)
                encoder = "dilated, small" if part in ("cost", "memory", "fuzz") else "dilated"
                rows.append({"setting": setting, "method": what, "encoder": encoder, "metric": unit, "value": value})

            PARTS[part](Path(folder), chosen.rounds, tell)
    frame = tsrep.tidy(rows, dataset="made", seed=0, commit=tsrep.commit())
    if chosen.out is not None:
        written(chosen.out, frame)
        print(f"\n{chosen.out}")


def written(path: Path, now: pd.DataFrame) -> None:
    """The rows of the file that were not measured again, then these."""
    if path.is_file():
        before = pd.read_csv(path, keep_default_na=False, dtype=str)
        again = set(zip(now["method"], now["setting"], strict=True))
        kept = [row not in again for row in zip(before["method"], before["setting"], strict=True)]
        now = pd.concat([before[kept], now.astype(object)], ignore_index=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    now.to_csv(path, index=False)


if __name__ == "__main__":
    main()
