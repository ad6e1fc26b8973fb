"""A plan says every value and where it came from, and refuses what it does not know before anything happens."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

import tsrep
from tsrep import plan, plan_telling, planning, registry
from tsrep.encoders.causal import Causal
from tsrep.errors import InputError
from tsrep.methods.simclr import SimCLR
from tsrep.mining.bad_pairs import BadPairs
from tsrep.mining.hard_negatives import HardNegatives

PLANS = sorted((Path(__file__).parents[1] / "pipelines" / "plans").glob("*.yaml"))

FULL = """
data: {name: BasicMotions, window: 50, hop: 25, scaling: none}
method: {name: simclr, temperature: 0.1, augment: [jitter, {scale: {sigma: 0.3}}]}
encoder: {name: causal, depth: 4}
training: {epochs: 5, learning_rate: 1e-3, clip: null}
seed: 3
out: runs/first
workers: 2
observers: {mlflow: {experiment: wearables}}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "plan.yaml"
    path.write_text(text)
    return path


def test_a_plan_is_read_from_yaml(tmp_path: Path) -> None:
    made, _ = planning.read(written(tmp_path, FULL))
    assert made.method == SimCLR(temperature=0.1, augment=("jitter", {"scale": {"sigma": 0.3}}))
    assert made.encoder == Causal(depth=4)
    assert made.data == plan.DataPlan("BasicMotions", window=50, hop=25, scaling="none")
    assert (made.training.epochs, made.training.learning_rate, made.training.clip) == (5, 1e-3, None)
    assert (made.seed, made.out, made.workers, made.observers) == (
        3,
        "runs/first",
        2,
        {"mlflow": {"experiment": "wearables"}},
    )


def test_scaling_is_one_word_or_one_for_each_stream_and_older_plans_say_it_in_theirs() -> None:
    assert planning.make({})[0].data.scaling == "each"
    made, _ = planning.make({"method": "collossl"}, ["data.scaling={skeleton: torso}"])
    assert made.data.scaling == {"skeleton": "torso"} and planning.make(plan.to_dict(made))[0] == made
    for older, scaling in ((True, "each"), (False, "none")):
        assert planning.make({"data": {"normalise": older}})[0].data.scaling == scaling


def test_an_empty_plan_is_the_default_one_with_what_its_method_recommends() -> None:
    made, given = planning.make({})
    assert given == {}
    assert registry.name_of("methods", made.method) == "ts2vec"
    assert registry.name_of("encoders", made.encoder) == "dilated"
    assert (made.training.batch_size, made.training.average) == (8, "mean")
    assert planning.make({"method": "simclr"})[0].training.batch_size == 64
    assert planning.make({"method": "simclr", "training": {"batch_size": 9}})[0].training.batch_size == 9


@pytest.mark.parametrize(
    "content", [{}, yaml.safe_load(FULL), {"encoder": "patch", "observers": {"mlflow": None}}], ids=str
)
def test_what_is_written_reads_back_as_the_same_plan(content: dict[str, Any], tmp_path: Path) -> None:
    made, _ = planning.make(content)
    again, _ = planning.read(plan.write(made, tmp_path / "new" / "folder"))
    assert again == made
    assert planning.make(plan.to_dict(made))[0] == made
    assert plan.to_yaml(again) == plan.to_yaml(made)


@pytest.mark.parametrize("name", registry.choices("encoders"))
@pytest.mark.parametrize("method", registry.choices("methods"))
def test_every_method_and_encoder_makes_the_round_trip(method: str, name: str) -> None:
    made, _ = planning.make({"method": method, "encoder": name, "seed": 2**40, "training": {"learning_rate": 1e-5}})
    assert planning.make(yaml.safe_load(plan.to_yaml(made)))[0] == made


def test_sections_may_be_a_name_settings_or_a_configuration() -> None:
    kinds: list[Any] = ["simclr", {"name": "simclr"}, SimCLR()]
    assert all(planning.make({"method": kind})[0].method == SimCLR() for kind in kinds)
    assert planning.make({"encoder": "tsai(TSTPlus)"})[0].encoder.arch == "TSTPlus"
    assert planning.make({"data": "BasicMotions"})[0].data.name == "BasicMotions"
    assert planning.make({"training": tsrep.Training(steps=3)})[0].training.steps == 3
    assert planning.make({"method": None, "data": None, "training": None, "observers": None})[0] == planning.make({})[0]


@pytest.mark.parametrize(
    ("content", "overrides", "said"),
    [
        ({"methd": "simclr"}, [], r"unknown key 'methd'.*did you mean 'method'"),
        (
            {"method": {"name": "ts2vec", "temprature": 1}},
            [],
            r"unknown key 'method.temprature'.*did you mean 'temperature'",
        ),
        ({"training": {"stepz": 1}}, [], r"unknown key 'training.stepz'.*did you mean 'steps'"),
        ({"data": {"windw": 1}}, [], r"unknown key 'data.windw'.*did you mean 'window'"),
        ({}, ["encoder.hiden=3"], r"unknown key 'encoder.hiden'.*did you mean 'hidden'"),
        ({}, ["trainin.steps=3"], r"unknown key 'trainin.steps'.*command line.*did you mean 'training'"),
        ({"method": "simcrl"}, [], r"unknown method 'simcrl'; did you mean 'simclr'"),
        ({"encoder": {"name": "dilate"}}, [], r"unknown encoder 'dilate'; did you mean 'dilated'"),
        ({"encoder": {"name": None}}, [], r"unknown encoder 'None'"),
        ({"seed": {"a": 1}}, [], r"'seed'.*integer"),
        ({"seed.a": 1}, [], r"'seed.a'.*single value"),
    ],
    ids=str,
)
def test_an_unknown_key_is_named_with_its_path_and_the_nearest_one(
    content: dict[str, Any], overrides: list[str], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        planning.make(content, overrides)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"training": {"steps": "many"}}, r"'training.steps'.*integer.*'many'"),
        ({"training": {"steps": 0}}, r"'training.steps'.*greater than 0.*0"),
        ({"training": {"steps": 1.5}}, r"'training.steps'.*integer.*1.5"),
        ({"training": {"batch_size": 1}}, r"'training.batch_size'.*greater than 1"),
        ({"training": {"validation": 0.7}}, r"'training.validation'.*less than or equal to 0.5"),
        ({"training": {"schedule": "linear"}}, r"'training.schedule'.*'constant' or 'cosine'.*'linear'"),
        ({"training": {"learning_rate": float("nan")}}, r"'training.learning_rate'"),
        ({"training": [1, 2]}, r"under 'training', got \[1, 2\]"),
        ({"method": {"name": "simclr", "temperature": -1}}, r"'method.temperature'.*greater than 0.*-1"),
        ({"method": {"name": "simclr", "augment": 3}}, r"'method.augment'.*3"),
        ({"encoder": {"name": "dilated", "dropout": 1.0}}, r"'encoder.dropout'.*less than 1"),
        ({"encoder": 7}, r"under 'encoder', got 7"),
        ({"data": {"window": 1}}, r"'data.window'.*greater than 1"),
        ({"seed": -1}, r"'seed'.*greater than or equal to 0"),
        ({"out": 3}, r"'out'.*string"),
        ({"observers": ["mlflow"]}, r"'observers'.*dictionary"),
        ({"observers": {"mlflow": 3}}, r"'observers'.*dictionary.*3"),
    ],
    ids=str,
)
def test_a_wrong_value_is_named_with_what_was_expected_and_what_came(content: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        planning.make(content)


def test_overrides_win_and_are_read_as_yaml(tmp_path: Path) -> None:
    path = written(tmp_path, FULL)
    made, given = planning.read(
        path, ["method.temperature=0.5", "training.clip=1.0", "out=null", "data.name=ERing", "seed=9"]
    )
    assert (made.method.temperature, made.training.clip, made.out, made.data.name, made.seed) == (
        0.5,
        1.0,
        None,
        "ERing",
        9,
    )
    assert given["method.temperature"] == (0.5, "command line")
    assert given["data.window"] == (50, str(path))
    assert made.data.window == 50


def test_another_method_takes_the_settings_of_the_former_away(tmp_path: Path) -> None:
    made, _ = planning.read(written(tmp_path, FULL), ["method=ts2vec", "method.alpha=1", "encoder=patch"])
    assert (registry.name_of("methods", made.method), made.method.alpha, made.method.temperature) == (
        "ts2vec",
        1.0,
        1.0,
    )
    assert registry.name_of("encoders", made.encoder) == "patch"


@pytest.mark.parametrize(
    "before", [None, {}, {"mlflow": None}, {"mlflow": {"experiment": "a"}}, {"other": {}}], ids=str
)
def test_observers_are_set_one_by_one(before: Any) -> None:
    made, _ = planning.make({"observers": before}, ["observers.mlflow.register=steps", "observers.mlflow={}"])
    assert made.observers["mlflow"]["register"] == "steps"
    assert set(made.observers) == {*(before or {}), "mlflow"}
    if before and before.get("mlflow"):
        assert made.observers["mlflow"]["experiment"] == "a"


@pytest.mark.parametrize("text", ["method.temperature", "=3", "method.temperature=[1", "observers.mlflow"])
def test_an_override_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"override such as|YAML value"):
        planning.make({}, [text])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"- a\n- b\n", r"expected a plan with keys data, method.*\['a', 'b'\]"),
        (b"method: {", "expected YAML"),
        (b"\xff\xfe\x00", "expected YAML"),
        (b"[" * 5000, "expected YAML"),
        (b"!!python/object/apply:os.system ['true']", "expected YAML"),
        (b"a" * (2**20 + 1), "at most 1 MiB"),
        (b"1: 2", "unknown key '1'"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_file_that_is_no_plan_is_refused(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=said):
        planning.read(path)


def test_a_file_that_grows_when_it_is_read_does_not_fill_the_message(tmp_path: Path) -> None:
    """A list of lists of lists …, by YAML's aliases: small in the file, without end on the screen."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"] + [
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)
    ]
    with pytest.raises(InputError) as caught:
        planning.read(written(tmp_path, "\n".join([*lines, "training: *a11"])))
    assert len(str(caught.value)) < 2000


def test_a_missing_file_is_named_with_the_nearest_one(tmp_path: Path) -> None:
    written(tmp_path, FULL)
    with pytest.raises(InputError, match=r"found no file .*plam.yaml; did you mean 'plan.yaml'"):
        planning.read(tmp_path / "plam.yaml")
    with pytest.raises(InputError, match="no such folder"):
        planning.read(tmp_path / "nowhere" / "plan.yaml")


def test_explain_tells_who_said_each_value_and_what_it_means(tmp_path: Path) -> None:
    path = written(tmp_path, FULL)
    made, given = planning.read(path, ["training.epochs=7"])
    lines = {key: (value, said, meaning) for key, value, said, meaning in plan_telling.explain(made, given)}
    assert lines["method.temperature"][:2] == (0.1, str(path))
    assert lines["training.epochs"][:2] == (7, "command line")
    assert lines["training.batch_size"][:2] == (64, "recommended")
    assert lines["training.precision"][:2] == ("float32", "default")
    assert lines["method.name"][:2] == ("simclr", str(path))
    assert lines["seed"][:2] == (3, str(path))
    assert not [key for key, (_, _, meaning) in lines.items() if not meaning]
    flat = {key for section, value in plan.to_dict(made).items() for key in ([f"{section}.{k}" for k in value] if section in (
        "data", "method", "encoder", "training") else [section])}  # fmt: skip
    assert set(lines) == flat


def test_explain_tells_settings_of_a_miner_that_were_said_from_those_that_were_not() -> None:
    made, given = planning.make({"mining": {"bad_pairs": {"warmup": 3}}})
    said = {key: (value, where) for key, value, where, _ in plan_telling.explain(made, given)}
    assert said["mining.bad_pairs"] == ("bad_pairs", "given")
    assert said["mining.bad_pairs.warmup"] == (3, "given")
    assert said["mining.bad_pairs.beta_noisy"] == (2.0, "default")


def test_miners_are_given_by_name_by_settings_or_as_configurations() -> None:
    expected = BadPairs(warmup=3)
    for mining in ({"bad_pairs": {"warmup": 3}}, {"bad_pairs": expected}, expected):
        assert planning.make({"mining": mining})[0].mining == {"bad_pairs": expected}
        changed = planning.make({"mining": mining}, ["mining.bad_pairs.beta_faulty=5"])[0].mining
        assert changed == {"bad_pairs": BadPairs(warmup=3, beta_faulty=5.0)}
    assert planning.make({"mining": "bad_pairs"})[0].mining == {"bad_pairs": BadPairs()}
    assert planning.make({"mining": None})[0].mining == {}


@pytest.mark.parametrize(
    ("mining", "told"),
    [
        (["bad_pairs", "mixing"], r"such as \{bad_pairs: \{\}.* got \['bad_pairs', 'mixing'\]"),
        (3, "such as .* got 3"),
        ("bad_pair", "unknown miner 'bad_pair'; did you mean 'bad_pairs'"),
        ({"bad_pairs": 3}, r"expected settings \(beta_noisy, .*\) under 'mining.bad_pairs', got 3"),
        ({"bad_pairs": {"beta_nosy": 1}}, "'mining.bad_pairs.beta_nosy' in the plan; did you mean 'beta_noisy'"),
        ({"bad_pairs": HardNegatives()}, r"under 'mining.bad_pairs', got HardNegatives"),
        (SimCLR(), "configuration of a miner, got SimCLR"),
    ],
)
def test_what_is_no_miner_is_told_with_what_would_be(mining: Any, told: str) -> None:
    with pytest.raises(InputError, match=told):
        planning.make({"mining": mining})


def test_every_field_of_a_plan_says_what_it_means() -> None:
    for kind in (plan.Plan, plan.DataPlan, tsrep.Training):
        assert all(registry.field_texts(kind).values()), kind


# --- the schema ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    made = plan_telling.schema()
    jsonschema.Draft202012Validator.check_schema(made)
    return jsonschema.Draft202012Validator(made)


@pytest.mark.parametrize(
    "content",
    [
        {},
        yaml.safe_load(FULL),
        {"data": "BasicMotions", "method": "simclr"},
        {"method": {"temperature": 0.2}, "encoder": {"depth": 3}},
        *[{"encoder": {"name": name}} for name in registry.choices("encoders")],
        *[plan.to_dict(planning.make({"method": name})[0]) for name in registry.choices("methods")],
        *[yaml.safe_load(path.read_text()) for path in PLANS],
    ],
    ids=lambda content: str(content)[:40],
)
def test_the_schema_takes_what_a_plan_takes(
    content: dict[str, Any], validator: jsonschema.Draft202012Validator
) -> None:
    planning.make(content)
    text = {"learning_rate": 1e-3} if content == yaml.safe_load(FULL) else {}  # "1e-3" is text to YAML 1.1
    if text:
        content = content | {"training": content["training"] | text}
    validator.validate(content)


@pytest.mark.parametrize(
    "content",
    [
        {"methd": {}},
        {"method": {"name": "simclr", "alpha": 1}},
        {"method": {"name": "nope"}},
        {"training": {"steps": 0}},
        {"training": {"steps": "a"}},
        {"training": {"precision": "float16"}},
        {"data": {"nam": "a"}},
        {"data": 3},
        {"seed": -1},
        {"observers": {"mlflow": 3}},
    ],
    ids=str,
)
def test_the_schema_refuses_what_a_plan_refuses(
    content: dict[str, Any], validator: jsonschema.Draft202012Validator
) -> None:
    with pytest.raises(InputError):
        planning.make(content)
    assert not validator.is_valid(content)


def test_the_schema_describes_every_key() -> None:
    made = plan_telling.schema()
    for section in made["properties"].values():
        assert section["description"]
        for choice in [section, *section.get("anyOf", [])]:
            assert all(part.get("description") or "const" in part for part in choice.get("properties", {}).values())


def test_a_plan_cannot_be_changed() -> None:
    made, _ = planning.make({})
    with pytest.raises(AttributeError):
        made.seed = 3  # type: ignore[misc]
    assert replace(made, seed=3) != made
