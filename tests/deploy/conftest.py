"""A small model, saved once, and the service's application in this process around it."""

import asyncio
import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from tsrep_deploy.app import make_app
from tsrep_deploy.engine import Engine
from tsrep_deploy.settings import Settings
from tsrep_deploy.shelf import Shelf

import tsrep

sys.path.insert(0, str(Path(__file__).parent))  # for service_requests: tests are not packages
from service_requests import ENCODER


@pytest.fixture(scope="session")
def model() -> tsrep.Model:
    """Trained on windows of unequal length, so that its stored inputs hold padding."""
    rng = np.random.default_rng(0)
    X = [rng.standard_normal((3, steps)).astype(np.float32) for steps in rng.integers(30, 49, 24)]
    fitted = tsrep.fit(X, encoder=ENCODER, training={"steps": 5, "batch_size": 8})
    fitted = tsrep.fit_forecaster(fitted, X, 4, window=16)
    return tsrep.fit_head(fitted, X, np.arange(24) % 3, pool="mean")


@pytest.fixture(scope="session")
def folder(model: tsrep.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model.save(tmp_path_factory.mktemp("models") / "small")


class Service:
    """The application in this process: many requests at once, on one loop, as the server would get them."""

    def __init__(self, held: tsrep.Model | None, /, **said: Any) -> None:
        self.settings = Settings(**({"model": "small", "log": "none"} | said))
        self.shelf = Shelf(self.settings)
        self.app = make_app(self.settings, self.shelf)
        for name in self.shelf.names if held is not None else ():
            self.shelf.put(name, Engine(held, self.settings, name, "0"))

    def ask(self, *requests: dict[str, Any]) -> list[httpx.Response]:
        """Answers to requests that are sent together. A request holds the arguments of `httpx.AsyncClient.post`, and perhaps `url`."""

        async def together(client: httpx.AsyncClient) -> list[httpx.Response]:
            return list(
                await asyncio.gather(*(client.post(**({"url": "/v1/embed"} | request)) for request in requests))
            )

        return self.within(together)

    def post(self, **request: Any) -> httpx.Response:
        return self.ask(request)[0]

    def get(self, url: str, **request: Any) -> httpx.Response:
        return self.within(lambda client: client.get(url, **request))

    def within(self, work: Callable[[httpx.AsyncClient], Coroutine[Any, Any, Any]]) -> Any:
        async def run() -> Any:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
                return await work(client)

        return asyncio.run(run())


@pytest.fixture
def service(model: tsrep.Model) -> Iterator[Callable[..., Service]]:
    """Makes a service with these settings; `loading=True`: whose models are not there yet."""
    made: list[Service] = []

    def make(loading: bool = False, **said: Any) -> Service:
        made.append(Service(None if loading else model, **said))
        return made[-1]

    yield make
    for one in made:
        one.app.state.collections.close()
        one.shelf.close()


CHROMIUM = "TSREP_CHROMIUM"
"""Names the browser. Where it is set, tests that need one fail without it; elsewhere they are skipped."""


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium that Playwright's driver can steer."""
    said = os.environ.get(CHROMIUM)
    found = said or shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    install = f"apt-get install chromium, pip install playwright, or set {CHROMIUM} to a browser"
    if said and not Path(said).is_file():
        pytest.fail(f"{CHROMIUM} is {said}, where no browser is: {install}")
    if not found or not (said or importlib.util.find_spec("playwright")):
        pytest.skip(f"needs Chromium and its driver: {install}")
    return found


QUIET = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=QUIET.split())
        yield browser
        browser.close()
