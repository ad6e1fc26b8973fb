"""The command line: fit, embed, evaluate, serve, resume, and what can be chosen. Each command is a few lines over the library."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from tsrep import terminal
from tsrep.cli_evaluate import evaluate
from tsrep.errors import InputError
from tsrep.terminal import fail, say

app = typer.Typer(
    name="tsrep",
    help="Learn representations of time series by contrast, without labels; measure and serve them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
plan_app = typer.Typer(help="Look into a plan before it is run.", no_args_is_help=True)
app.add_typer(plan_app, name="plan")

Override = Annotated[list[str] | None, typer.Argument(help="PLAN.yaml, and overrides such as method.temperature=0.1")]


@app.command()
def fit(
    what: Override = None,
    data: Annotated[str | None, typer.Option(help="Data set of the catalogue, or a file.")] = None,
    method: Annotated[str | None, typer.Option(help="See `tsrep methods`.")] = None,
    encoder: Annotated[str | None, typer.Option(help="Likewise; tsai(NAME): one of tsai's.")] = None,
    mining: Annotated[
        list[str] | None,
        typer.Option(help="bad_pairs, hard_negatives, ...: changes the method's pairs; may be repeated."),
    ] = None,
    out: Annotated[str | None, typer.Option(help="Folder of the run.")] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes on a Ray cluster; 0: this process, without Ray.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Same seed, same bits.")] = None,
    mlflow: Annotated[bool, typer.Option("--mlflow", help="Track the run in MLflow.")] = False,
    register: Annotated[
        str | None, typer.Option(help="Register the model in MLflow under this name (champion).")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Learn an encoder from windows without labels."""
    from tsrep.fitting import run
    from tsrep.suspects import idle

    said = {"data.name": data, "method": method, "encoder": encoder, "out": out, "workers": workers, "seed": seed}
    flags = [
        f"{key}={json.dumps(value)}" for key, value in said.items() if value is not None
    ]  # as it is, whatever YAML makes of it
    flags += [f"mining.{name}={{}}" for name in mining or ()]
    if register is not None:
        flags.append(f"observers.mlflow.register={json.dumps(register)}")
    elif mlflow:
        flags.append("observers.mlflow={}")
    plan, _ = _plan(what, flags)
    if plan.out is None:
        raise InputError("expected a folder for the run: --out runs/first, or out=runs/first")
    model = run(plan, progress=not quiet)
    say(f"[bold]{plan.out}[/] holds the model: {len(model.data.channels)} channels in, {model.features} numbers out")
    for term, found in model.suspects.found.items() if model.suspects is not None else ():
        if (why := idle(found)) is not None:
            say(f"bad-pair mining weighed nothing in {term}: {why}")
    look = (
        f"tsrep evaluate {plan.out} {plan.data.name} --task {'streams' if model.streams else 'classify'}"
        if model.data.classes
        else f"tsrep show {plan.out}"
    )
    say(f"next: {look}" + ("" if model.streams else f"   |   tsrep serve {plan.out}"))


@app.command()
def resume(
    run: Annotated[str, typer.Argument(help="Folder of a run that was stopped.")],
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Go on with a run that was interrupted, from its last checkpoint."""
    from tsrep.fitting import resume as go_on

    model = go_on(run, progress=not quiet)
    steps = int(model.history[-1]["step"]) if model.history else 0
    say(f"[bold]{run}[/] holds the model, trained for {steps} steps")


@app.command()
def embed(
    model: Annotated[str, typer.Argument(help="Folder of a model, or models:/name@champion.")],
    data: Annotated[str, typer.Argument(help="Data set, or file: .csv, .parquet, .ts, .npz, .npy.")],
    out: Annotated[Path, typer.Option(help="Where the embeddings go: .parquet, .csv or .npy.")],
    pool: Annotated[
        str | None, typer.Option(help="max, mean, last, rich or levels; the encoder's own by default.")
    ] = None,
    stream: Annotated[
        str | None, typer.Option(help="Which stream of data that holds several; all that the model knows.")
    ] = None,
) -> None:
    """Embed windows: one line for each, with its label and subject where they are known."""
    from tsrep.data.panel import Panel
    from tsrep.embedding_table import write
    from tsrep.loading import load
    from tsrep.plan import DataPlan
    from tsrep.preparing import source

    write_to = write(out)  # refuses an unknown ending before any work
    if pool == "steps":
        raise InputError(
            "expected one embedding for each window, pool 'steps' gives many; use model.embed(X, pool='steps')"
        )
    loaded = load(model)
    if loaded.streams and stream is not None:
        loaded = loaded.of(stream)
    given, _ = source(DataPlan(name=data, stream=stream, streams="all" if loaded.streams else None))
    if isinstance(given, Panel):
        panel, embeddings = given, loaded.embed(given, pool)
    else:  # whichever of its streams the data has
        chosen = given.choose([name for name in given if name in loaded.streams] or None)
        panel, embeddings = chosen.first, loaded.embed(chosen, pool)
    write_to(panel, embeddings)
    say(f"{len(panel)} embeddings of {embeddings.shape[1]} numbers in [bold]{out}[/]")


app.command()(evaluate)


@app.command()
def show(
    model: Annotated[str, typer.Argument(help="Folder of a model, or models:/name@champion.")],
    out: Annotated[Path | None, typer.Option(help="Folder of the pictures; the model's folder/pictures.")] = None,
    bad_pairs: Annotated[
        bool, typer.Option("--bad-pairs", help="The pairs that bad-pair mining found, as a table and a picture.")
    ] = False,
) -> None:
    """What a model learned: its training, the series, mask and view of a few windows where its view is learned, the devices that
    collossl took for alike, and bad pairs."""
    from tsrep import showing
    from tsrep.loading import load

    loaded = load(model)
    folder = out or (Path(model) / "pictures" if Path(model).is_dir() else Path("pictures"))
    say(repr(loaded))
    if loaded.history:
        last = {name: value for name, value in loaded.history[-1].items() if name not in ("step", "rank_of")}
        say(f"after {int(loaded.history[-1]['step'])} steps: " + ", ".join(f"{k} {v:.4g}" for k, v in last.items()))
    written = showing.bad_pairs(loaded, model, folder) if bad_pairs else showing.training(loaded, folder)
    for path in written:
        typer.echo(path)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def serve(
    context: typer.Context,
    model: Annotated[
        list[str] | None, typer.Option(help="[name=]folder or address; may be repeated, the first is the default.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 3000,
) -> None:
    """Serve models over HTTP (BentoML): tsrep serve FOLDER, or models:/name@champion. POST /v1/embed, GET /v1/info, /docs, /metrics.

    Every setting of the service is a further flag, such as --max-windows 256; `python -m tsrep_deploy --help` lists them.
    """
    from tsrep.plugins import plugin

    models, said = list(model or ()), {}
    words = iter(context.args)
    for word in words:
        flag, equals, value = word.partition("=")
        if not word.startswith("--"):
            models.append(word)
        else:
            said[flag.removeprefix("--").replace("-", "_")] = value if equals else next(words, "")
    if not models:
        raise InputError("expected a model to serve: tsrep serve runs/first, or --model name=runs/first")
    plugin("servers", "bentoml")(models, host=host, port=port, **said)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})
def keys(context: typer.Context) -> None:
    """API keys of the service: `tsrep keys add NAME` prints a new one once, `list`, `remove NAME`; --file says where they are."""
    from tsrep.plugins import plugin

    plugin("servers", "keys")(context.args)


@app.command()
def export(
    model: Annotated[str, typer.Argument(help="Folder of a model; the export is put into it.")],
    precision: Annotated[
        str,
        typer.Option(
            help="float32, exact; or int8 or bf16, if it keeps neighbours and probe accuracy on the validation part."
        ),
    ] = "float32",
    data: Annotated[
        str | None, typer.Option(help="What int8 and bf16 are measured on; the data of the plan by default.")
    ] = None,
    length: Annotated[int | None, typer.Option(help="Longest window it takes; that of training by default.")] = None,
) -> None:
    """Put the encoder into the model's folder for ONNX Runtime too, which is faster and does without torch; bf16 stays with torch."""
    from tsrep.exporting import export as exported
    from tsrep.loading import load

    if not Path(model).is_dir():
        raise InputError(f"expected the folder of a model to put the export into, found none at {model}")
    made = exported(load(model, "torch"), precision=precision, data=data, length=length)
    made.save(model)
    report = made.exported.report if made.exported is not None else {}
    say(f"[bold]{model}[/] embeds by {made.runtime}, {report['difference']:.1g} from torch at most")
    for name, (before, after) in report.get("gate", {}).items():
        say(f"{name}: {before} in float32, {after} in {precision}")


@app.command()
def methods() -> None:
    """What can be learned by: methods, encoders and miners, with their sources."""
    from tsrep.registry import choices, summary

    for room in ("methods", "encoders", "mining"):
        table = terminal.table(room, "name", "what it does")
        for name, kind in sorted(choices(room).items()):
            table.add_row(name, summary(kind))
        terminal.show(table)


@app.command()
def datasets(
    here: Annotated[bool, typer.Option("--here", help="Only those that are on this machine.")] = False,
) -> None:
    """Every data set of the catalogue: shape, rate, classes, split, licence, and whether it is here."""
    from tsrep.data import catalogue

    table = terminal.table(
        "data sets", "name", "task", "series × channels × steps", "rate", "classes", "split", "licence", "here"
    )
    for entry in catalogue.entries():
        if here and not entry.here:
            continue
        rate = f"{entry.rate:g} Hz" if entry.rate else "–"
        classes = str(len(entry.classes)) if entry.classes else "–"
        names = "\n".join(entry.names)
        table.add_row(
            names, entry.task, entry.shape, rate, classes, entry.split, entry.licence, "yes" if entry.here else "no"
        )
    terminal.show(table)
    missing = [entry.name for entry in catalogue.entries() if not entry.here]
    if missing and not here:
        say(
            f"{len(missing)} are not here: set TSREP_DATA to a folder that holds them; `tsrep.load_dataset` says who publishes each"
        )


@plan_app.command()
def explain(what: Override = None) -> None:
    """Every value of a plan, who said it, and what it means."""
    from tsrep.plan_telling import explain as told

    table = terminal.table("plan", "key", "value", "said by", "meaning")
    for key, value, said, meaning in told(*_plan(what, [])):
        table.add_row(key, str(value), said, meaning)
    terminal.show(table)


@plan_app.command()
def schema() -> None:
    """The JSON schema of a plan file, for editors."""
    from tsrep.plan_telling import schema as made

    typer.echo(json.dumps(made(), indent=2))


def main() -> None:
    """Entry point: bad input is one sentence on standard error and exit code 2; an interrupt keeps its signal's code."""
    try:
        app(standalone_mode=False)
    except typer.Exit as done:
        sys.exit(done.exit_code)
    except InputError as error:
        fail(str(error), 2)
    except FloatingPointError as error:  # training diverged
        fail(str(error), 1)
    except Exception as error:
        if hasattr(error, "signum"):  # tsrep.training.Interrupted, without importing torch for --help
            fail(str(error), 128 + error.signum)
        if hasattr(error, "format_message"):  # a usage error of click; without a message it has shown the help
            fail(error.format_message(), 2)
        if type(error).__name__ == "Abort":
            fail("aborted", 130)
        raise


def _plan(what: list[str] | None, flags: list[str]) -> tuple[Any, Any]:
    """A plan from the words of a command: a file first, then --method and --encoder, which the overrides refine, other flags last."""
    from tsrep import plan, planning

    words = list(what or [])
    choices = [flag for flag in flags if flag.partition("=")[0] in plan.ROOMS or flag.startswith("mining.")]
    others = [flag for flag in flags if flag not in choices]
    if words and "=" not in words[0]:
        return planning.read(words[0], [*choices, *words[1:], *others])
    return planning.make({}, [*choices, *words, *others])


if __name__ == "__main__":
    main()
