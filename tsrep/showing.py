"""What `tsrep show` tells of a model: its training in pictures, devices that are alike, and the pairs that mining found bad."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from tsrep import pictures, suspects, terminal
from tsrep.data.streams import Streams
from tsrep.errors import InputError
from tsrep.methods.collossl import ColloSSL
from tsrep.model import Model
from tsrep.preparing import source
from tsrep.suspects import Suspects

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WORST = 20
"""Bad pairs of a term that are printed; the file has all pairs."""


def training(model: Model, folder: Path) -> list[Path]:
    """The pictures of the training, written to the folder."""
    return pictures.write(pictures.of_training(model) | _devices(model), folder)


def bad_pairs(model: Model, name: str, folder: Path) -> list[Path]:
    """The worst pairs of each term as a table, and the files with all of them and with their picture. name: of the model."""
    found = _found(model, name)
    table = found.table()
    for term, one in found.found.items():
        why = suspects.idle(one)
        if why is not None:
            terminal.say(f"{term}: nothing was mined yet: {why}")
            continue
        of_term = table[table["term"] == term]
        bad = of_term[of_term["kind"] != "good"]
        count = bad["kind"].value_counts()
        terminal.say(
            f"{term}: {count.get('noisy', 0)} noisy pairs (mean loss {one.low:.3g} or less) and {count.get('faulty', 0)} "
            f"faulty ones ({one.high:.3g} or more) of {len(of_term)}, after {one.epochs} epochs; reliability {one.reliability:.2f}"
        )
        if len(bad):
            shown = bad.drop(columns="term").head(WORST)
            lines = terminal.table(
                "the worst of them", *("mean loss" if column == "loss" else str(column) for column in shown)
            )
            for row in shown.itertuples(index=False):
                lines.add_row(*(f"{value:.4g}" if isinstance(value, float) else escape(str(value)) for value in row))
            terminal.show(lines)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "bad_pairs.csv"
    table.to_csv(path, index=False)
    return [path, *pictures.write(pictures.of_suspects(model, found), folder)]


def _devices(model: Model) -> dict[str, Figure]:
    """Which devices ColloSSL took for alike, drawn of the training windows, which the plan must name and which must still be there."""
    if not isinstance(model.plan.method, ColloSSL) or not model.streams or model.plan.data.name is None:
        return {}
    try:
        streams, _ = source(model.plan.data)
    except InputError as error:
        terminal.say(f"no picture of the devices, which needs the training windows: {error}")
        return {}
    assert isinstance(streams, Streams)  # a model of several streams has a plan that names them
    title = f"{model.data.name}: which devices are alike, training windows"
    return {"devices": pictures.of_devices(streams, model.plan, title=title)}


def _found(model: Model, name: str) -> Suspects:
    """InputError where the model was trained without bad-pair mining, or what it found is damaged or gone."""
    if model.suspects is not None:
        return model.suspects
    if (Path(name) / suspects.NAME).is_file():
        return suspects.read(Path(name) / suspects.NAME)  # says in which way it is damaged
    if "bad_pairs" in model.plan.mining:
        raise InputError(
            f"expected what bad-pair mining found in {suspects.NAME} beside the model {name}, it is damaged or was taken away; train "
            "again to see it. The model is whole and embeds without it"
        )
    raise InputError(f"expected a model trained with bad-pair mining (--mining bad_pairs), {name} was trained without")
