"""The files that put the service somewhere: valid by their schemas, and naming only what exists."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import check_jsonschema
import httpx
import jsonschema
import kubernetes_validate
import numpy as np
import promql_parser
import psutil
import pytest
import tsrep_deploy
import yaml
from packaging.requirements import Requirement
from service_requests import as_npy, embeddings_of
from test_light import SERVED
from tsrep_deploy import bento
from tsrep_deploy.running import free_port
from tsrep_deploy.settings import Settings, variable

import tsrep

HOUSE = Path(__file__).parents[2]
DEPLOY = HOUSE / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
OBJECTS = ("deployment", "service", "disruption", "autoscaler")
BARRED = """
import sys
class Barred:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {barred!r}:
            raise ModuleNotFoundError("barred: " + name)
sys.meta_path.insert(0, Barred())
"""
X = np.random.default_rng(43).standard_normal((3, 3, 20)).astype(np.float32)


def read(*path):
    return yaml.safe_load(DEPLOY.joinpath(*path).read_text())


def expressions():
    """Every PromQL expression of the dashboard, the alerts and the adapter, with where it stands."""
    for panel in json.loads((DEPLOY / "monitoring/grafana/dashboard.json").read_text())["panels"]:
        yield from ((panel["title"], target["expr"].replace("$__rate_interval", "5m")) for target in panel["targets"])
    for rule in read("monitoring", "alerts.yml")["groups"][0]["rules"]:
        yield rule["alert"], rule["expr"]
    (rule,) = read("kubernetes", "prometheus-adapter.yaml")["rules"]
    yield "adapter", rule["seriesQuery"]
    said = {"<<.GroupBy>>": "pod", "<<.Series>>": "tsrep_queue_windows", "<<.LabelMatchers>>": 'pod="a"'}
    query = rule["metricsQuery"]
    for name, value in said.items():
        query = query.replace(name, value)
    yield "adapter", query


@pytest.mark.parametrize("name", OBJECTS)
def test_objects_of_kubernetes_are_valid_by_its_schemas(name):
    told = read("kubernetes", f"{name}.yaml")
    version = kubernetes_validate.latest_version()
    kubernetes_validate.validate(told, version, strict=True)
    told["spec"]["typo"] = 1
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(told, version, strict=True)


def test_objects_of_kubernetes_name_each_other():
    held = {name: read("kubernetes", f"{name}.yaml") for name in (*OBJECTS, "servicemonitor", "kustomization")}
    assert set(held["kustomization"]["resources"]) == {f"{name}.yaml" for name in (*OBJECTS, "servicemonitor")}
    deployment = held["deployment"]["spec"]
    label = deployment["template"]["metadata"]["labels"]
    assert deployment["selector"]["matchLabels"] == held["service"]["spec"]["selector"] == label
    assert held["disruption"]["spec"]["selector"]["matchLabels"] == label
    assert held["servicemonitor"]["spec"]["selector"]["matchLabels"] == held["service"]["metadata"]["labels"]
    assert held["servicemonitor"]["spec"]["endpoints"][0]["port"] == held["service"]["spec"]["ports"][0]["name"]
    assert held["autoscaler"]["spec"]["scaleTargetRef"]["name"] == held["deployment"]["metadata"]["name"]
    (rule,) = read("kubernetes", "prometheus-adapter.yaml")["rules"]
    assert held["autoscaler"]["spec"]["metrics"][0]["pods"]["metric"]["name"] == rule["name"]["as"]
    (container,) = deployment["template"]["spec"]["containers"]
    assert {container[probe]["httpGet"]["path"] for probe in ("startupProbe", "readinessProbe")} == {"/readyz"}
    assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert container["resources"]["limits"].keys() == {"cpu", "memory"}
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    known = {variable(name) for name in Settings.__dataclass_fields__}
    assert {one["name"] for one in container["env"]} <= known
    grace = deployment["template"]["spec"]["terminationGracePeriodSeconds"]
    assert int(next(one["value"] for one in container["env"] if one["name"] == "TSREP_TIMEOUT")) < grace


def test_the_compose_file_is_valid_and_what_it_mounts_exists():
    schema = Path(check_jsonschema.__file__).parent / "builtin_schemas" / "vendor" / "compose-spec.json"
    told, known = read("compose.yaml"), json.loads(schema.read_text())
    jsonschema.validate(told, known)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(told | {"services": {"a": {"imagee": "b"}}}, known)
    for service in told["services"].values():
        assert not service["image"].endswith(":latest") and ":" in service["image"]
        for volume in service.get("volumes", ()):
            if isinstance(volume, str) and volume.startswith("./"):
                assert (DEPLOY / volume.split(":")[0]).exists(), volume
    assert (DEPLOY / told["services"]["tsrep"]["build"]["context"] / "deploy" / "Containerfile").is_file()
    assert read("monitoring", "prometheus.yml")["scrape_configs"][0]["static_configs"][0]["targets"] == ["tsrep:3000"]


def test_the_image_runs_as_nobody_in_particular_and_copies_what_exists():
    told = (DEPLOY / "Containerfile").read_text().replace("\\\n", " ")
    lines = [line.split(None, 1) for line in told.splitlines() if line and not line.startswith("#")]
    final = lines[max(i for i, line in enumerate(lines) if line[0] == "FROM") :]
    user = next(rest for word, rest in final if word == "USER")
    assert user.split(":")[0].isdecimal() and int(user.split(":")[0]) > 1000
    assert any(word == "HEALTHCHECK" and "/readyz" in rest for word, rest in final)
    for word, rest in lines:
        if word == "COPY" and "--from" not in rest:
            assert all((HOUSE / source).exists() for source in rest.split()[:-1]), rest
        assert not (word == "FROM" and rest.endswith(":latest"))
    pinned = {line.split("==")[0].lower() for line in (HOUSE / "constraints.txt").read_text().splitlines()}
    wanted = {one.replace("-", "_") for name in ("onnx", "search") for one in required(name)}
    assert wanted <= {one.replace("-", "_") for one in pinned}
    assert re.search(r"ARG SEARCH=0\n(.|\n)*\$SEARCH\" = 1(.)*-r requirements-search.txt", told)


def required(name):
    lines = (DEPLOY / f"requirements-{name}.txt").read_text().splitlines()
    return [line.strip() for line in lines if line and not line.startswith("#")]


def test_expressions_are_promql_and_alerts_are_few_and_say_what_to_do():
    found = list(expressions())
    for where, expression in found:
        promql_parser.parse(expression), where
    with pytest.raises(ValueError):
        promql_parser.parse("sum by (le (a)")
    assert len(found) > 20
    rules = read("monitoring", "alerts.yml")["groups"][0]["rules"]
    assert len(rules) <= 6
    assert all({"summary", "action"} <= rule["annotations"].keys() for rule in rules)
    assert {rule["labels"]["severity"] for rule in rules} == {"page", "ticket"}


def test_a_light_service_imports_nothing_beside_what_its_image_holds(model, tmp_path):
    """Every other package is made unimportable."""
    wanted, held = [Requirement(line) for line in required("onnx")], set()
    while wanted:
        one = wanted.pop()
        name = one.name.lower().replace("_", "-")
        if name in held or (
            one.marker and not any(one.marker.evaluate({"extra": extra}) for extra in (one.extras or {""}))
        ):
            continue
        try:
            below = requires(name) or []
        except PackageNotFoundError:
            continue
        held.add(name)
        wanted += [Requirement(line) for line in below]
    barred = [module for module, by in packages_distributions().items()
              if not {one.lower().replace("_", "-") for one in by} & {*held, "tsrep", "httpx", "httpcore", "h11"}]  # fmt: skip
    assert {"torch", "sklearn", "sktime", "typer", "matplotlib"} <= set(barred)
    folder = tsrep.export(model).save(tmp_path / "model")
    np.save(tmp_path / "x.npy", X)
    code = BARRED.format(barred=barred) + SERVED
    command = [sys.executable, "-c", code, str(folder), str(tmp_path / "x.npy")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    np.testing.assert_allclose(json.loads(done.stdout)["embed"]["embeddings"], model.embed(X), rtol=1e-5, atol=1e-5)


def test_what_measures_a_service_is_no_part_of_a_bento_or_an_image_and_nothing_of_them_asks_for_it(folder, tmp_path):
    made = bento.together([f"small={folder}"], tmp_path / "context") / "tsrep_deploy"
    measuring = {path.name for path in DEPLOY.glob("*.py")} - {path.name for path in made.glob("*.py")}
    ignored = {Path(line).name for line in (HOUSE / ".dockerignore").read_text().splitlines() if line.endswith(".py")}
    assert measuring == ignored == {"damage.py", "fuzz.py", "load.py", "measures.py", "plain.py", "pressing.py"}
    names = "|".join(name.removesuffix(".py") for name in measuring)
    asks = re.compile(rf"from \.({names}) import|from \. import .*\b({names})\b|tsrep_deploy\.({names})\b")
    assert asks.search((DEPLOY / "load.py").read_text())
    assert not [path.name for path in made.glob("*.py") if asks.search(path.read_text())]


def test_a_bento_for_search_asks_for_lancedb_and_no_folder_is_filled_twice(folder, tmp_path, capsys):
    asked = []
    for name, more in (("plain", []), ("search", ["--search"])):
        bento.main([f"small={folder}", "--into", str(tmp_path / name), *more])
        asked.append(yaml.safe_load((tmp_path / name / "bentofile.yaml").read_text())["python"]["packages"])
    assert asked[1] == [*asked[0][:-1], "lancedb", "torch"] and "lancedb" not in asked[0]
    with pytest.raises(SystemExit, match=r"expected a new or an empty folder.* holds something"):
        bento.main([f"small={folder}", "--into", str(tmp_path / "plain")])
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit, match="expected a new or an empty folder"):
        bento.main([f"small={folder}", "--into", str(tmp_path / "file")])


def test_a_bento_serves_its_own_code_and_models_from_elsewhere_without_a_network(model, tmp_path):
    exported = tsrep.export(model).save(tmp_path / "exported")
    away = {"HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9", "PIP_NO_INDEX": "1"}
    environ = {k: v for k, v in os.environ.items() if not k.startswith("TSREP_")} | away
    environ |= {"BENTOML_HOME": str(tmp_path / "home"), "BENTOML_DO_NOT_TRACK": "True"}
    (tmp_path / "home").mkdir()
    command = [sys.executable, "-m", "tsrep_deploy.bento", f"small={exported}", "--into", str(tmp_path / "context")]
    subprocess.run(command, check=True, capture_output=True, env=environ)
    code = tmp_path / "context" / "tsrep" / "__init__.py"
    code.write_text(code.read_text().replace(f'"{tsrep.__version__}"', '"9.9.9"'))  # to be seen again
    build = [sys.executable, "-m", "bentoml", "build"]
    bare = {key: value for key, value in environ.items() if key != "PYTHONPATH"}
    subprocess.run(build, check=True, capture_output=True, cwd=tmp_path / "context", env=bare)
    (made,) = [path for path in (tmp_path / "home" / "bentos" / "tsrep").iterdir() if path.is_dir()]
    (tmp_path / "context").rename(tmp_path / "gone")
    exported.rename(tmp_path / "gone too")
    (tmp_path / "empty").mkdir()
    port = free_port()
    serve = [sys.executable, "-m", "bentoml", "serve", str(made), "--port", str(port)]
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(
            serve, cwd=tmp_path / "empty", env=bare, stdout=log, stderr=log, start_new_session=True
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            end = time.monotonic() + 90
            while time.monotonic() < end:
                try:
                    if client.get("/readyz").status_code == 200:
                        break
                except httpx.TransportError:
                    pass
                time.sleep(0.1)
            answer = client.post("/v1/embed", **as_npy(X))
            assert client.get("/v1/openapi.json").json()["info"]["version"] == "9.9.9", (tmp_path / "log").read_text()
        np.testing.assert_allclose(embeddings_of(answer), model.embed(X), rtol=1e-5, atol=1e-5)
    finally:
        workers = psutil.Process(server.pid).children(recursive=True)
        server.send_signal(signal.SIGTERM)
        server.wait(30)
        psutil.wait_procs(workers, timeout=10)


def test_every_file_is_read_by_a_test():
    """A manifest that nothing checks rots."""
    source = Path(__file__).read_text()
    files = [path for path in DEPLOY.rglob("*") if path.is_file() and path.suffix in (".yaml", ".yml", ".json")]
    assert Path(tsrep_deploy.__file__).parent.resolve() == DEPLOY.resolve()
    mentioned = [path for path in files if path.stem in source or "provisioning" in path.parts or "page" in path.parts]
    assert set(files) == set(mentioned)
    for path in files:
        if "provisioning" in path.parts:
            assert yaml.safe_load(path.read_text())["apiVersion"] == 1
            assert re.search(r"http://prometheus:9090|/var/lib/grafana/dashboards", path.read_text())
