"""The page as files: what is served, of which type, how it is kept by browsers, and that nothing else of the machine is."""

import gzip
import hashlib
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
from tsrep_deploy import examples, keys, page_files

import tsrep

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("path", page_files.FILES)
def test_every_file_is_served_with_its_type_and_the_browser_is_told_to_load_nothing_else(service, path):
    answer = service().get(path, headers={"Accept-Encoding": "identity"})
    held = page_files.FILES[path]
    assert answer.content == held.read_bytes()
    assert answer.headers["content-type"] == page_files.TYPES[held.suffix]
    assert answer.headers["x-content-type-options"] == "nosniff"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy and "unsafe" not in policy and "http" not in policy


def test_a_browser_that_has_a_file_gets_no_second_one(service):
    running = service()
    answer = running.get("/page/page.css")
    again = running.get("/page/page.css", headers={"If-None-Match": f'"other", W/{answer.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    assert running.get("/page/page.css", headers={"If-None-Match": '"other"'}).status_code == 200


def test_files_travel_packed(service):
    answer = service().get("/page/vendor/echarts.common.min.js", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert len(page_files.held("/page/vendor/echarts.common.min.js").packed) < 300_000
    assert gzip.decompress(page_files.held("/").packed) == page_files.FILES["/"].read_bytes()


def test_no_other_file_can_be_asked_for(service):
    running = service()
    for path in (
        "/page/",
        "/page/vendor/SHA256",
        "/page/../app.py",
        "/page/%2e%2e/app.py",
        "/page//page.css",
        "/page/vendor",
    ):
        assert running.get(path).status_code == 404


def test_the_page_asks_for_no_key_and_what_it_asks_of_the_service_does(service, tmp_path):
    key = keys.add(tmp_path / "keys.json", "anna")
    running = service(keys=str(tmp_path / "keys.json"))
    for path in page_files.FILES:
        assert running.get(path).status_code == 200
    for path in ("/page/examples", "/page/windows", "/v1/models"):
        assert running.get(path).status_code == 401
        assert running.get(path, headers={"X-Api-Key": key}).status_code == 200


def test_no_file_of_the_page_names_another_host_or_holds_script_or_style_inline():
    own = {path: file for path, file in page_files.FILES.items() if "/vendor/" not in path}
    for file in own.values():
        text = file.read_text()
        found = re.findall(r"https?://[^\s\"']+", text)
        assert set(found) <= {"http://www.w3.org/2000/svg"}, file.name  # a name, nothing that is asked for
        assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", text), file.name
    page = own["/"].read_text()
    assert not re.search(r"\son\w+=|\sstyle=|<style|<script(?![^>]*\ssrc=)", page)
    loaded = re.findall(r"(?:src|href)=\"(/page[^\"]*)\"", page)
    assert loaded and set(loaded) <= set(own) | {"/page/vendor/echarts.common.min.js"}


def test_what_others_wrote_is_as_they_wrote_it_and_their_licence_lies_beside_it():
    vendor = page_files.FOLDER / "vendor"
    told = dict(reversed(line.split()) for line in (vendor / "SHA256").read_text().splitlines())
    assert told == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in vendor.iterdir()
        if path.name.startswith("echarts")
    }
    assert {"echarts.LICENSE", "echarts.NOTICE", "echarts.common.min.js"} <= set(told)
    assert "Apache License" in (vendor / "echarts.LICENSE").read_text()


def test_the_page_is_installed_with_the_service():
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"][
        "tsrep_deploy"
    ]
    installed = {path for pattern in patterns for path in (ROOT / "deploy").glob(pattern)}
    assert {path.resolve() for path in page_files.FOLDER.rglob("*") if path.is_file()} <= {
        path.resolve() for path in installed
    }


def test_a_model_whose_channels_no_set_has_shows_its_own_windows(service, model):
    running = service()
    told = running.get("/page/examples").json()
    assert (told["sets"], told["own"]) == ([], len(model.check))
    assert told["says"] == "No built-in set has the 3 channels of this model (channel_0, channel_1, channel_2)."
    shown = running.get("/page/windows").json()
    assert shown["label"] is None
    for window, held in zip(shown["windows"], model.check, strict=True):
        mine = np.array(window, np.float32)
        np.testing.assert_array_equal(mine, held[:, : mine.shape[1]])
        assert np.isnan(held[:, mine.shape[1] :]).all()
    refused = running.get("/page/windows", params={"set": "BasicMotions"})
    assert refused.status_code == 422
    assert "none fits this model" in refused.json()["error"]["message"]


def test_where_the_sets_are_not_installed_the_page_says_so(service, monkeypatch):
    monkeypatch.setattr(examples, "PACKAGE", "not_installed")
    assert "not installed here: pip install not_installed" in service().get("/page/examples").json()["says"]


def test_windows_of_a_set_are_some_of_every_class_as_they_stand_in_the_set():
    panel = tsrep.load_dataset("BasicMotions").test
    held, label = examples.few("BasicMotions", 100)
    assert set(label) == set(panel.label) and len(held) == 40
    np.testing.assert_array_equal(np.stack(held), panel.values)
    many, label = examples.few("ItalyPowerDemand", 24)
    assert len(many) == examples.SHOWN and set(label) == {"1", "2"}
    cut, _ = examples.few("BasicMotions", 30)
    assert {one.shape for one in cut} == {(6, 30)}
    ragged, _ = examples.few("JapaneseVowels", 26)
    assert len({one.shape for one in ragged}) > 3
    assert examples.few("Covid3Month", 84)[1] is None
