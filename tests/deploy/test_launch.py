"""Every limit is a flag with a twin in the environment, and what is wrong is said before anything starts."""

import dataclasses
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tsrep_deploy import launch
from tsrep_deploy.running import free_port
from tsrep_deploy.settings import Settings, flag, limits, texts, variable

import tsrep


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch, tmp_path):
    for field in dataclasses.fields(Settings):
        monkeypatch.delenv(variable(field.name), raising=False)
    monkeypatch.delenv("BENTOML_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_every_limit_is_a_flag_and_a_variable_and_is_explained(capsys):
    with pytest.raises(SystemExit):
        launch.main(["--help"])
    told = " ".join(capsys.readouterr().out.split())
    for name in limits():
        assert flag(name) in told
        assert variable(name) in told
        assert len(texts()[name]) > 10


def test_what_is_no_number_is_a_flag_and_a_variable_too(capsys):
    with pytest.raises(SystemExit):
        launch.main(["--help"])
    told = " ".join(capsys.readouterr().out.split())
    for field in dataclasses.fields(Settings):
        assert flag(field.name) in told
        assert texts()[field.name]


@pytest.mark.parametrize("name", limits())
def test_a_limit_is_read_from_its_variable_and_a_flag_goes_before_it(name, monkeypatch):
    monkeypatch.setenv(variable(name), "2000")
    assert getattr(Settings.from_environment(), name) == 2000
    assert getattr(Settings.given(**{name: 3000}), name) == 3000


def test_settings_survive_the_environment():
    settings = Settings(model="first=runs/first,b=models:/b@c", cors="https://a.org", max_windows=7, queue=9, threads=2)
    assert Settings.from_environment(settings.to_environment()) == settings


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"batch": 0}, "--batch to be a whole number of at least 1, got 0"),
        ({"timeout": True}, "--timeout to be a whole number"),
        ({"timeout": "soon"}, "--timeout to be a whole number, got 'soon'"),
        ({"log": "loud"}, "--log to be json or none, got 'loud'"),
        ({"cors": "example.org"}, "--cors to be origins such as https://example.org, got 'example.org'"),
        ({"queue": 5}, "--queue to hold the windows of one request"),
        ({"max_window": 5}, "unknown setting 'max_window'; did you mean 'max_windows'?"),
    ],
)
def test_a_bad_limit_is_an_input_error(given, told):
    with pytest.raises(tsrep.InputError, match=told.split(";")[0]):
        Settings.given(**given)


@pytest.mark.parametrize(
    ("said", "models"),
    [
        ("runs/first", {"first": "runs/first"}),
        ("a=runs/a, b=models:/b@champion", {"a": "runs/a", "b": "models:/b@champion"}),
        ("models:/basic-motions@champion", {"basic-motions": "models:/basic-motions@champion"}),
        ("models:/basic-motions/3", {"basic-motions": "models:/basic-motions/3"}),
        ("runs/rate=0.1", {"rate-0.1": "runs/rate=0.1"}),
        ("/data/my model", {"my-model": "/data/my model"}),
    ],
)
def test_a_model_has_the_name_it_is_given_or_that_of_its_place(said, models):
    assert Settings(model=said).models == models


@pytest.mark.parametrize("said", ["x/y={}", "={}", "a b={}", "x/y=models:/b@c"])
def test_a_name_that_is_none_is_told_and_not_looked_for_as_a_folder(folder, said):
    with pytest.raises(tsrep.InputError, match="expected a name of letters"):
        _ = Settings(model=said.format(folder)).models


def test_two_models_of_one_name_are_an_input_error():
    with pytest.raises(tsrep.InputError, match="'a' twice"):
        _ = Settings(model="runs/a,other/a").models


def test_a_variable_that_is_no_number_is_an_input_error(monkeypatch):
    monkeypatch.setenv("TSREP_QUEUE", "many")
    with pytest.raises(tsrep.InputError, match="TSREP_QUEUE to be a whole number, got 'many'"):
        Settings.from_environment()


@pytest.mark.parametrize(
    ("said", "meant"), [("MAX_WINDOW", "MAX_WINDOWS"), ("KEY", "KEYS"), ("MAXBODYBYTES", "MAX_BODY_BYTES")]
)
def test_a_variable_that_is_misspelt_is_an_input_error(said, meant):
    with pytest.raises(tsrep.InputError, match=f"unknown variable TSREP_{said}; did you mean TSREP_{meant}"):
        Settings.from_environment({f"TSREP_{said}": "5"})


def test_variables_of_others_are_left_alone():
    """Those of the package, of its tests, and those that Kubernetes sets in every pod beside a service called tsrep."""
    kubernetes = ("SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT", "PORT_3000_TCP", "PORT_3000_TCP_ADDR")
    others = (*kubernetes, "DATA", "RUNTIME", "CHROMIUM", "FUZZ_SEED", "FROM")
    assert Settings.from_environment({f"TSREP_{name}": "x" for name in others}) == Settings()


def test_the_command_serves_this_model_here_with_these_limits(folder, monkeypatch, tmp_path):
    monkeypatch.chdir(folder.parent)
    port = free_port()
    command, environ, home = launch.prepared("small", port=port, max_windows=7)
    assert command[1:5] == ["-m", "bentoml", "serve", "tsrep_deploy.service:Encoder"]
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert (environ["TSREP_MODEL"], environ["TSREP_MAX_WINDOWS"]) == (f"small={folder}", "7")
    assert environ["BENTOML_DO_NOT_TRACK"] == "True"
    assert environ["BENTOML_HOME"] == str(home) == str(tmp_path / "tsrep" / f"serve-{port}")


def test_a_missing_model_is_named_before_anything_is_made(tmp_path):
    with pytest.raises(tsrep.InputError, match="nowhere"):
        launch.prepared("nowhere", port=free_port())
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_model_is_refused(folder, tmp_path):
    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    (broken / "weights.safetensors").write_bytes(b"\0" * 50)
    with pytest.raises(tsrep.InputError):
        launch.prepared(broken, port=free_port())


def test_a_port_in_use_is_an_input_error(folder):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(tsrep.InputError, match="nothing can listen"):
            launch.prepared(folder, port=other.getsockname()[1])


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 0), ("127.0.0.1", 70000), ("my-host", 3000)])
def test_an_impossible_place_to_listen_is_an_input_error(folder, host, port):
    with pytest.raises(tsrep.InputError, match="expected"):
        launch.prepared(folder, host=host, port=port)


def test_the_shell_gets_one_line_and_no_traceback(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "tsrep_deploy", "--model", "runs/first", "--queue", "1"],
        capture_output=True, text=True, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("tsrep serve: expected --queue")
    assert done.stderr.count("\n") == 1


def test_the_supervisor_needs_neither_torch_nor_the_model():
    code = "import sys, tsrep_deploy.service; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_package_is_the_deploy_folder_of_the_checkout():
    here = Path(__file__).parents[2]
    assert Path(launch.__file__).resolve().parent == here / "deploy"


@pytest.mark.parametrize("where", ["ftp://x", "s3:/b", "s3://", "file:///x", "x:/", "http://a/b"])
def test_a_place_of_collections_that_is_none_is_an_input_error_and_makes_no_folder(where, tmp_path, monkeypatch):
    pytest.importorskip("lancedb")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(tsrep.InputError, match="s3://…, gs://…, az://…, db://…"):
        launch._kept_in(where)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_collections_is_proved_by_writing_to_it(tmp_path, monkeypatch):
    pytest.importorskip("lancedb")
    assert (
        launch._kept_in(str(tmp_path / "kept")) == str(tmp_path / "kept") and launch._kept_in("s3://b/c") == "s3://b/c"
    )
    assert list((tmp_path / "kept").iterdir()) == []

    def denied(**said):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(launch.tempfile, "TemporaryFile", denied)  # whoever tests may be root, who may write everywhere
    with pytest.raises(tsrep.InputError, match=r"can be written .* \(Permission denied\)"):
        launch._kept_in(str(tmp_path / "kept"))
