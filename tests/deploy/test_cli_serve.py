"""`tsrep serve` and `tsrep keys` hand over what they are told."""

import pytest
from typer.testing import CliRunner

import tsrep
from tsrep import cli, plugins


@pytest.fixture
def told(monkeypatch):
    said = {}
    servers = {
        "bentoml": lambda models, **rest: said.update(models=models, **rest),
        "keys": lambda words: said.update(words=words),
    }
    monkeypatch.setattr(plugins, "plugin", lambda group, name: servers[name])

    def run(*words):
        result = CliRunner().invoke(cli.app, list(words))
        if isinstance(result.exception, tsrep.InputError):
            raise result.exception
        assert result.exit_code == 0, result.output
        return said

    return run


def test_several_models_and_every_setting_reach_the_server(told):
    said = told(
        "serve",
        "--model",
        "a=runs/a",
        "--model",
        "b=models:/b@champion",
        "--port",
        "3001",
        "--max-windows",
        "7",
        "--cors=https://a.org",
    )
    assert said == {
        "models": ["a=runs/a", "b=models:/b@champion"], "host": "127.0.0.1", "port": 3001, "max_windows": "7", "cors": "https://a.org",
    }  # fmt: skip


def test_one_model_needs_no_flag(told):
    assert told("serve", "runs/first")["models"] == ["runs/first"]


def test_a_server_without_a_model_is_refused(told):
    with pytest.raises(tsrep.InputError, match="expected a model to serve"):
        told("serve")


def test_keys_are_handed_over_word_by_word(told):
    assert told("keys", "add", "anna", "--file", "k.json")["words"] == ["add", "anna", "--file", "k.json"]
