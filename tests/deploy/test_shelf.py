"""Several models, loaded while the service answers, exchanged without a dropped request."""

import asyncio
import os
import shutil
import threading

import numpy as np
import pytest
from service_requests import ENCODER, as_npy, embeddings_of
from tsrep_deploy.app import make_app
from tsrep_deploy.settings import Settings
from tsrep_deploy.shelf import Shelf, fetch, version

import tsrep

X = np.random.default_rng(41).standard_normal((3, 3, 40)).astype(np.float32)


@pytest.fixture(scope="module")
def other(model: tsrep.Model) -> tsrep.Model:
    return tsrep.untrained(model, seed=7)


@pytest.fixture
def place(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "current")


def shelf_of(where, **said) -> Shelf:
    shelf = Shelf(Settings(model=f"one={where}", log="none", **said))
    shelf.fill()
    return shelf


def embedded(shelf: Shelf) -> np.ndarray:
    with shelf.borrow() as engine:
        return engine.model.embed(X)


def test_a_folder_that_did_not_change_is_not_loaded_again(place):
    shelf = shelf_of(place)
    with shelf.borrow() as engine:
        assert engine.version == version(place)
        assert shelf.look() == []
    with shelf.borrow() as after:
        assert after is engine
    shelf.close()


def test_a_new_model_in_the_folder_takes_the_place(place, model, other):
    shelf = shelf_of(place)
    np.testing.assert_array_equal(embedded(shelf), model.embed(X))
    other.save(place)
    assert shelf.look() == ["one"]
    np.testing.assert_array_equal(embedded(shelf), other.embed(X))
    assert shelf.look() == []
    shelf.close()


@pytest.mark.parametrize("when", ["fill", "look"])
def test_a_model_that_is_written_while_another_is_loaded_is_news(place, model, other, monkeypatch, when):
    third, load = tsrep.untrained(model, seed=8), tsrep.load_light
    shelf = shelf_of(place) if when == "look" else Shelf(Settings(model=f"one={place}", log="none"))

    def load_and_write(folder, **said):
        loaded = load(folder, **said)
        third.save(place)
        return loaded

    with monkeypatch.context() as patched:
        patched.setattr(tsrep, "load_light", load_and_write)
        if when == "fill":
            shelf.fill()
        else:
            other.save(place)
            assert shelf.look() == ["one"]
    assert shelf.look() == ["one"]
    np.testing.assert_array_equal(embedded(shelf), third.embed(X))
    assert shelf.look() == []
    shelf.close()


@pytest.mark.parametrize("damage", ["gone", "weights", "half"])
def test_a_model_that_does_not_prove_itself_never_takes_the_place(place, model, other, damage):
    shelf = shelf_of(place)
    if damage == "gone":
        shutil.rmtree(place)
    elif damage == "weights":
        weights = place / "weights.safetensors"
        weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\x80?")
    else:  # what another process is still writing
        other.save(place.parent / "other")
        os.replace(place.parent / "other" / "weights.safetensors", place / "weights.safetensors")
    assert shelf.look() == []
    np.testing.assert_array_equal(embedded(shelf), model.embed(X))
    if damage == "half":
        other.save(place)  # now whole
        assert shelf.look() == ["one"]
    shelf.close()


def test_requests_that_run_while_models_are_exchanged_are_all_answered(place, model, other):
    shelf = shelf_of(place)
    app = make_app(shelf.settings, shelf)
    models, engines = [model, other], []
    both = [m.embed(X) for m in models]
    import httpx

    async def scene():
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            ended = asyncio.Event()

            async def ask():
                found = []
                while not ended.is_set():
                    found.append(await client.post("/v1/embed", **as_npy(X)))
                return found

            asking = [asyncio.create_task(ask()) for _ in range(4)]
            for turn in range(4):
                await asyncio.sleep(0.02)
                with shelf.borrow() as engine:
                    engines.append(engine)
                await asyncio.to_thread(models[(turn + 1) % 2].save, place)
                assert await asyncio.to_thread(shelf.look) == ["one"]
            ended.set()
            return [answer for found in await asyncio.gather(*asking) for answer in found]

    answers = asyncio.run(scene())
    which = [
        [bool(np.allclose(embeddings_of(answer), local, atol=1e-6)) for local in both].index(True) for answer in answers
    ]
    assert set(which) == {0, 1}
    assert len(set(engines)) == 4
    shelf.close()


def test_a_retired_engine_is_closed_after_its_last_request(place, other):
    shelf = shelf_of(place)
    closed = threading.Event()
    with shelf.borrow() as engine:
        close = engine.close
        engine.close = lambda: (close(), closed.set())
        other.save(place)
        assert shelf.look() == ["one"]
        assert not closed.wait(0.05)
        assert len(asyncio.run(engine.batcher.embed([X], None))[0]) == 3  # it still works
    assert closed.wait(5)
    shelf.close()


def test_a_model_is_fetched_by_a_process_of_its_own(folder, tmp_path):
    fetch(str(folder), tmp_path / "here")
    assert (tmp_path / "here" / "weights.safetensors").read_bytes() == (folder / "weights.safetensors").read_bytes()
    with pytest.raises(tsrep.InputError, match=r"did not arrive(.|\n)*nothing"):
        fetch(str(tmp_path / "nothing"), tmp_path / "there")


def test_an_address_is_fetched_beside_and_exchanged_when_it_points_elsewhere(model, other, tmp_path, monkeypatch):
    """The process that fetches is played by a copy; the addresses of MLflow themselves are tested in tests/integrations."""
    from tsrep_deploy import shelf as module

    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "home"))
    champion, fetched = [model], []

    def fetch(address, folder):
        fetched.append(address)
        champion[0].save(folder)

    monkeypatch.setattr(module, "fetch", fetch)
    shelf = shelf_of("models:/one@champion")
    assert shelf.look() == []
    champion[0] = other
    assert shelf.look() == ["one"]
    np.testing.assert_array_equal(embedded(shelf), other.embed(X))
    again = shelf_of("models:/one@champion")  # as a worker that was started again: it asks nobody
    assert fetched == ["models:/one@champion"] * 3
    np.testing.assert_array_equal(embedded(again), other.embed(X))
    assert ENCODER["features"] == other.features
    shelf.close()
    again.close()


def test_an_exported_champion_still_finds_the_rest_of_its_folder_where_it_was_moved_to(
    model, other, tmp_path, monkeypatch
):
    from tsrep_deploy import shelf as module

    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "home"))
    champion = [model]
    monkeypatch.setattr(module, "fetch", lambda address, folder: champion[0].save(folder))
    shelf = shelf_of("models:/one@champion")
    champion[0] = tsrep.export(other)
    assert shelf.look() == ["one"]
    longer = np.random.default_rng(5).standard_normal((2, 3, 2 * model.data.length)).astype(np.float32)
    with shelf.borrow() as engine:
        assert isinstance(engine.model, tsrep.Light)
        np.testing.assert_allclose(engine.model.embed(longer), other.embed(longer), rtol=1e-5, atol=1e-5)
    shelf.close()
