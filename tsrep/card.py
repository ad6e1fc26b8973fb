"""The card that writes itself from the run."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from tsrep import plan as plans
from tsrep import registry
from tsrep.plan import Plan, Scaling
from tsrep.runtime import BF16

SCALED: Mapping[Scaling, str] = {
    "each": "every channel to mean 0 and deviation 1 of the training part",
    "one": "all channels divided by one number, the root mean square of the training part",
    "torso": "every frame about the hips, in lengths of the torso that the window shows first",
    "none": "none, values as they come",
}


def write(
    plan: Plan,
    data: Mapping[str, Any],
    features: int,
    history: Sequence[Mapping[str, float]],
    results: Sequence[Mapping[str, Any]],
    versions: Mapping[str, str],
    export: Mapping[str, Any] | None = None,
) -> str:
    """Markdown: what the model is, data, method with its source, results with spread, limits, versions, how to load."""
    method, encoder = registry.name_of("methods", plan.method), registry.name_of("encoders", plan.encoder)
    rate = f"{data['rate']:g} Hz" if data["rate"] else "unknown rate"
    shape = "{stream: (n, channel, time)} of any of its streams" if data.get("streams") else "(n, channel, time)"
    parts = [
        f"# {method} on {data['name'] or 'data from memory'}",
        f"A `{encoder}` encoder trained without labels by `{method}`: a window of {len(data['channels'])} channels in, "
        f"{features} numbers out.",
        '```python\nimport tsrep\n\nmodel = tsrep.load("PATH OF THIS FOLDER")\nZ = model.embed(X)  # '
        f"{shape} -> "
        f"(n, {features}) float32\n```",
        "## Data",
        _list(
            {
                "Name": data["name"] or "given from memory",
                "Windows": f"{data['rows']} of up to {data['length']} steps, {rate}",
                **_channels(data),
                "Scaling": _scaling(plan, data),
                "Labels (unused in training)": ", ".join(data["classes"][:20]) or "none",
                "Licence": data["licence"] or "not stated",
                "Fingerprint": f"`{data['fingerprint'][:16]}`",
            }
        ),
        "## Method",
        _first_paragraphs(type(plan.method)) + "\n\nEncoder: " + registry.summary(type(plan.encoder)),
        *(f"Mining, `{name}`: {registry.summary(type(miner))}" for name, miner in plan.mining.items()),
        _training(plan, history),
        "## Results",
        _table(results) + _costs(results)
        if results
        else "Not evaluated yet: `tsrep evaluate PATH DATA --task classify` writes this section.",
        *(() if export is None else ("## Runtime", _runtime(export))),
        "## Limits",
        "- It knows windows like those it was trained on: the same sensors, units, rate and placement.\n"
        f"- Windows much longer than {data['length']} steps see more context in a step than there was in training.\n"
        "- Embeddings are learned for likeness within this data; whether they serve a task is to be measured on labels of that task.",
        "## Versions",
        ", ".join(f"{name} {version}" for name, version in versions.items()),
        "<details><summary>Plan</summary>\n\n```yaml\n" + plans.to_yaml(plan) + "```\n</details>",
    ]
    return "\n\n".join(parts) + "\n"


def _channels(data: Mapping[str, Any]) -> dict[str, str]:
    streams = data.get("streams") or {}
    if not streams:
        return {"Channels": ", ".join(data["channels"])}
    return {
        f"Stream `{name}`": f"{', '.join(s['channels'])}; up to {s['length']} steps"
        + (f" at {s['rate']:g} Hz" if s["rate"] else "")
        for name, s in streams.items()
    }


def _scaling(plan: Plan, data: Mapping[str, Any]) -> str:
    ways = {name: plan.data.scaling_of(name) for name in data.get("streams") or (None,)}
    if len(set(ways.values())) == 1:
        return SCALED[next(iter(ways.values()))]
    return "; ".join(f"`{name}` {SCALED[way]}" for name, way in ways.items())


def _training(plan: Plan, history: Sequence[Mapping[str, float]]) -> str:
    if not history:
        return f"Seed {plan.seed}."
    last = history[-1]
    numbers = [f"{name} {last[name]:.3g}" for name in ("alignment", "uniformity", "rank", "validation") if name in last]
    loss = sum(value for name, value in last.items() if name.startswith("loss/"))
    return (
        f"Trained for {last['step']:.0f} steps, seed {plan.seed}. At the end: "
        + ", ".join([f"loss {loss:.4g}", *numbers])
        + "."
    )


def _runtime(export: Mapping[str, Any]) -> str:
    """What was measured when the model was exported."""
    how = "Computed by torch" if export["precision"] == BF16 else "Exported for ONNX Runtime"
    over = "the validation part" if "gate" in export else "several lengths and patterns of missing values"
    text = (
        f"{how}, {export['precision']}, windows of up to {export['length']} steps; torch computes longer ones in float32. "
        f"Largest difference from torch {export['difference']:.1g}, over {over}."
    )
    gate = export.get("gate")
    if not gate:
        return text
    lines = ["| on the validation part | float32 | " + f"{export['precision']} |", "| --- | --- | --- |"]
    lines += [f"| {name} | {before} | {after} |" for name, (before, after) in gate.items()]
    return text + "\n\n" + "\n".join(lines)


def _table(results: Sequence[Mapping[str, Any]]) -> str:
    """One line for each method and probe, the mean over seeds with its standard deviation; of forecasts the mean over horizons."""
    import pandas as pd

    means = any(str(line["features"]).startswith("retrieval all pairs") for line in results)
    frame = pd.DataFrame([line for line in results if _told(line) and not (means and "→" in str(line["features"]))])
    ahead = dict.fromkeys(str(line["horizon"]) for line in results if line.get("horizon") not in (None, "", "mean"))
    keys = ["dataset", "setting", "method", "features", "metric"]
    told = frame.groupby(keys, sort=False)["value"].agg(["mean", "std", "count"]).reset_index()
    lines = ["| " + " | ".join([*keys, "value", "seeds"]) + " |", "|" + " --- |" * (len(keys) + 2)]
    for row in told.to_dict("records"):
        spread = f" ± {row['std']:.3f}" if row["count"] > 1 else ""
        lines.append(
            "| " + " | ".join(str(row[key]) for key in keys) + f" | {row['mean']:.3f}{spread} | {row['count']} |"
        )
    if ahead:
        lines.append(
            f"\nErrors of forecasts are means over the horizons ({', '.join(ahead)} steps), in units of the training part's deviation."
        )
    return "\n".join(lines)


def _costs(results: Sequence[Mapping[str, Any]]) -> str:
    """What each missing stream costs, where that was measured: accuracy with all of them and without each."""
    means: dict[tuple[str, str], list[float]] = {}
    for line in results:
        place, _, probe = str(line["features"]).partition(", ")
        of_all = line["setting"] == "streams" and "%" not in probe and line["metric"] == "accuracy"
        if of_all and line["method"] != "random encoder" and (place == "all" or place.startswith("without ")):
            means.setdefault((probe, place), []).append(float(line["value"]))
    lines = []
    for (probe, place), values in means.items():
        if place == "all":
            continue
        one, whole = sum(values) / len(values), sum(means[probe, "all"]) / len(means[probe, "all"])
        lines.append(f"- {place} ({probe}): accuracy {one:.3f} instead of {whole:.3f}, {one - whole:+.3f}")
    return "" if not lines else "\n\nWhat a missing stream costs:\n\n" + "\n".join(lines)


def _told(line: Mapping[str, Any]) -> bool:
    """Whether a result has a place on the card: all but single horizons, by what penalties were chosen, and every pair of streams."""
    if line["setting"] == "streams" and "→" in line["features"] and not line["features"].startswith("retrieval"):
        return False
    horizon = line.get("horizon")
    return horizon in (None, "") or (horizon == "mean" and line["metric"] in ("mse", "mae"))


def _first_paragraphs(kind: type) -> str:
    """The docstring up to its list of fields."""
    text = (inspect.getdoc(kind) or "").split("\n\n")
    known = registry.field_texts(kind)
    return "\n\n".join(part for part in text if part.split(":", 1)[0].split(",")[0] not in known)


def _list(items: Mapping[str, str]) -> str:
    return "\n".join(f"- {name}: {value}" for name, value in items.items())
