"""The page in a real browser: a CSV is dropped, a point is clicked, neighbours appear, and nothing is asked of another host."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from page_numbers import by_hand
from tsrep_deploy.running import running

import tsrep

ENCODER = {"name": "dilated", "hidden": 8, "depth": 3, "features": 16}
MOST = 16
"""Windows of a request: less than the tests draw, so that the page must send them in parts."""


@pytest.fixture(scope="module")
def motions() -> tsrep.Model:
    train = tsrep.load_dataset("BasicMotions").train
    return tsrep.fit(train, encoder=ENCODER, training={"steps": 5, "batch_size": 8})


@pytest.fixture(scope="module")
def address(
    motions: tsrep.Model, chromium: str, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    held = motions.save(tmp_path_factory.mktemp("page") / "motions")
    with running([f"motions={held}", f"small={folder}"], max_windows=MOST) as address:
        yield address


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    """The page, loaded. After the test: nothing was said to be wrong in the console, and no other host was asked."""
    page = browser.new_page(viewport={"width": 1300, "height": 900}, color_scheme="light", reduced_motion="reduce")
    page.set_default_timeout(10_000)
    said, asked = [], set()
    page.on("console", lambda one: said.append(one.text) if one.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda one: asked.add(urlsplit(one.url).netloc))
    page.goto(address)
    page.wait_for_selector("#draw:enabled")
    yield page
    page.close()
    assert asked <= {urlsplit(address).netloc, ""}  # the empty one: what the page makes itself, blob: and data:
    expected = getattr(page, "expected", "")
    assert [one for one in said if not (expected and expected in one)] == []


@pytest.fixture(scope="module")
def recordings() -> tuple[str, tsrep.Panel]:
    """A long table of 40 recordings as a CSV, and what it holds."""
    panel = tsrep.load_dataset("BasicMotions").test
    names = [f"r{row}" for row in range(len(panel))]
    lines = [",".join(["id", "timestamp", "label", *panel.channels, "battery"])]
    for row, name in enumerate(names):
        for step in range(panel.length):
            values = ",".join(repr(float(x)) for x in panel.values[row, :, step])
            lines.append(f"{name},{1.7e9 + row * 100 + step / 10},{panel.label[row]},{values},full")
    return "\n".join(lines), panel


def drop(page: Any, text: str, *names: str) -> None:
    """As a hand does it: files in a DataTransfer, dropped on the page."""
    page.evaluate(
        """([text, names]) => {
            const transfer = new DataTransfer();
            for (const name of names) transfer.items.add(new File([text], name, {type: "text/csv"}));
            document.body.dispatchEvent(new DragEvent("drop", {dataTransfer: transfer, bubbles: true, cancelable: true}));
        }""",
        [text, names or ["recordings.csv"]],
    )


def drawn(page: Any) -> list[dict[str, Any]]:
    """Points of the map, in the order of the windows."""
    return page.evaluate(
        """() => echarts.getInstanceByDom(document.getElementById("map")).getOption().series
            .find((one) => one.id === "points").data"""
    )


def click(page: Any, row: int) -> None:
    x, y = page.evaluate(
        """(row) => {
            const chart = echarts.getInstanceByDom(document.getElementById("map"));
            const {value} = chart.getOption().series.find((one) => one.id === "points").data.find((one) => one.row === row);
            return chart.convertToPixel({gridIndex: 0}, value);
        }""",
        row,
    )
    page.locator("#map").click(position={"x": x, "y": y})


def neighbours(page: Any) -> list[tuple[int, str, float]]:
    """(row, label, distance) as the table beside the series says."""
    rows = [line.locator("td").all_inner_texts() for line in page.locator("#neighbours tbody tr").all()]
    return [(int(one.split()[-1]) - 1, label, float(distance)) for one, label, distance in rows]


def test_a_csv_is_dropped_and_the_map_is_that_of_the_embeddings(page, motions, recordings):
    text, panel = recordings
    asked = []
    page.on("request", lambda one: asked.append(one.url) if "/v1/embed" in one.url else None)
    drop(page, text)
    page.wait_for_selector(".tile")
    assert len(asked) == -(-len(panel) // MOST)
    embeddings = motions.embed(panel)
    place, share = by_hand(embeddings)
    points = drawn(page)
    assert [one["row"] for one in points] == list(range(len(panel)))
    np.testing.assert_allclose([one["value"] for one in points], place, rtol=1e-4, atol=1e-4 * np.abs(place).max())
    said = page.inner_text("#status")
    assert f"{round(100 * share[0])} % and {round(100 * share[1])} % of their variance" in said
    assert "not channels of the model, and left out: battery" in said
    names = page.locator("#legend button").all_inner_texts()
    assert [one.split()[0] for one in names] == sorted(set(panel.label))


def test_a_point_is_clicked_and_its_nearest_neighbours_appear(page, motions, recordings):
    text, panel = recordings
    drop(page, text)
    page.wait_for_selector(".tile")
    embeddings = motions.embed(panel)
    distance, index = tsrep.nearest(embeddings, embeddings, k=5, leave_self_out=True)
    place = by_hand(embeddings)[0]
    alone = int(
        np.argmax([np.sort(np.abs(place - one).sum(axis=1))[1] for one in place])
    )  # no other point is under the mouse
    click(page, alone)
    found = neighbours(page)
    assert [row for row, *_ in found] == index[alone].tolist()
    np.testing.assert_allclose([far for *_, far in found], distance[alone], atol=1e-4)
    assert [label for _, label, _ in found] == panel.label[index[alone]].tolist()
    lines = page.evaluate(
        """() => echarts.getInstanceByDom(document.getElementById("series")).getOption().series
            .map((one) => [one.id, one.data.map((point) => point[1])])"""
    )
    held = dict(map(tuple, lines))
    assert len(held) == 6 * 6  # channels × the window and its neighbours
    np.testing.assert_allclose(held["2 0"], panel.values[alone, 2], rtol=1e-6)
    np.testing.assert_allclose(held["4 1"], panel.values[index[alone][0], 4], rtol=1e-6)
    page.locator("#count").select_option("3")
    assert len(neighbours(page)) == 3
    page.locator("#neighbours button").first.click()
    assert f"Window {index[alone][0] + 1} (" in page.inner_text("#series-says")
    assert page.locator(".tile[aria-current=true]").get_attribute("data-row") == str(index[alone][0])


def test_the_keyboard_alone_does_it(page):
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the map"
    page.get_by_role("button", name="Draw").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".tile")
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "map":
            break
    page.keyboard.press("Home")
    assert "Window 1 (Standing)" in page.inner_text("#status")
    before = neighbours(page)
    seen = set()
    for key in ("ArrowRight", "ArrowUp", "ArrowLeft", "ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
        seen.add(page.get_attribute("#map", "aria-label"))
    assert len(seen) > 2 and neighbours(page) != before
    page.keyboard.press("+")
    zoom = """() => echarts.getInstanceByDom(document.getElementById("map")).getOption().dataZoom.map((one) => one.end - one.start)"""
    assert all(width < 70 for width in page.evaluate(zoom))
    page.keyboard.press("0")
    assert page.evaluate(zoom) == [100, 100]
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
    assert float(outline.removesuffix("px")) >= 2
    page.locator(".tile").nth(12).focus()
    page.keyboard.press("Enter")
    assert "Window 13 (Running)" in page.inner_text("#status")
    assert page.evaluate("document.activeElement.dataset.row") == "12"


def test_the_table_says_what_the_map_shows(page, motions):
    page.get_by_role("button", name="Draw").click()
    page.wait_for_selector(".tile")
    page.locator("input[value=table]").check(force=True)
    panel = tsrep.load_dataset("BasicMotions").test
    embeddings = motions.embed(panel)
    cells = "() => [...document.querySelectorAll('#all tbody tr')].map((one) => [...one.cells].map((cell) => cell.textContent))"
    table = page.evaluate(cells)
    index = tsrep.nearest(embeddings, embeddings, k=1, leave_self_out=True)[1][:, 0]
    assert [line[1] for line in table] == panel.label.tolist()
    np.testing.assert_allclose(np.array([line[5:7] for line in table], float), by_hand(embeddings)[0], atol=2e-3)
    assert [line[7] for line in table] == [f"window {one + 1}" for one in index]


def test_a_label_is_hidden_and_colours_follow_time(page):
    page.get_by_role("button", name="Draw").click()
    page.wait_for_selector(".tile")
    page.locator("#legend button", has_text="Running").click()
    assert len(drawn(page)) == 30
    assert page.locator("#legend button", has_text="Running").get_attribute("aria-pressed") == "false"
    by_label = {one["itemStyle"]["color"] for one in drawn(page)}
    assert len(by_label) == 3 and len({one["symbol"] for one in drawn(page)}) == 3
    page.locator("input[value=time]").check(force=True)
    assert len({one["itemStyle"]["color"] for one in drawn(page)}) > 30


NAMES = "acc_x, acc_y, acc_z, gyr_x, gyr_y, gyr_z"
HEAD = NAMES.replace(" ", "")
WRONG = {
    "id,timestamp,a,b\n1,0,1,2\n": f"expected 6 channels ({NAMES}), got 2 (a, b): missing acc_x",
    f"id,{HEAD.replace('acc', 'c')},c7,c8,c9\n1{',1' * 9}\n": f"expected 6 channels ({NAMES}), got 9 (c_x … c9): missing acc_x",
    f"{HEAD}\n1,2,3,4,5,high\n": "expected column gyr_z to hold numbers, got 'high' in row 1",
    f"{HEAD}\n1,2,3\n": "expected 6 cells in each row, got 3 in row 1",
    "": "got an empty file",
    "1,2\n3,4\n": "expected names of columns in the first line, got numbers",
    f"id,timestamp,{HEAD}\n{'a,1,1,1,1,1,1,1' + chr(10)}a,1,1,1,1,1,1,1\n": "a time of its own, got one twice in series a",
    f"id,timestamp,{HEAD}\na,soon,1,1,1,1,1,1\n": "expected a timestamp in seconds or a date, got 'soon' in row 1",
    f"{HEAD}\n,,,,,\n": "expected at least one window with a value",
}
"""file -> what is said of it"""


def test_a_wrong_file_is_told_by_what_was_expected_and_what_came(page):
    for text, said in WRONG.items():
        drop(page, text, "mine.csv")
        page.wait_for_function("(said) => document.getElementById('problem').textContent.includes(said)", arg=said)
        assert page.inner_text("[role=alert]").startswith("In mine.csv: ")
    page.get_by_role("button", name="Draw").click()
    page.wait_for_selector(".tile")
    assert not page.is_visible("#problem")


def test_a_file_without_ids_is_one_series_and_several_files_are_several(page):
    text = "\n".join([HEAD, *(",".join(str((i * step) % 7) for i in range(1, 7)) for step in range(130))])
    drop(page, text, "one.csv")
    page.wait_for_function("() => document.querySelectorAll('.tile').length === 1")
    assert "30 steps behind the last whole windows are left out" in page.inner_text("#status")
    page.locator(".tile").click()
    assert "Window 1 of one.csv. It has no neighbours." in page.inner_text("#status")
    drop(page, text, "one.csv", "other.csv")
    page.wait_for_function("() => document.querySelectorAll('.tile').length === 2")
    page.locator(".tile").last.click()
    assert [row for row, *_ in neighbours(page)] == [0]
    assert "Window 2 of other.csv" in page.inner_text("#series-says")
    page.fill("#hop", "50")
    page.keyboard.press("Tab")
    page.wait_for_function("() => document.querySelectorAll('.tile').length === 4")


def test_every_control_has_a_name_and_every_text_can_be_read(page):
    page.get_by_role("button", name="Draw").click()
    page.locator(".tile").first.click()
    assert page.evaluate(NAMELESS) == []
    assert page.locator("h1").count() == 1 and page.get_attribute("html", "lang") == "en"
    ids = page.evaluate("() => [...document.querySelectorAll('[id]')].map((one) => one.id)")
    assert len(ids) == len(set(ids)) > 20
    assert page.get_attribute("#status", "aria-live") == "polite"
    ground = "() => getComputedStyle(document.body).backgroundColor"
    light, read = page.evaluate(ground), page.evaluate(FAINT)
    assert read["seen"] > 50 and read["faint"] == []
    page.get_by_role("button", name="Switch to dark").click()
    dark = page.evaluate(ground)
    assert dark != light and page.evaluate(FAINT)["faint"] == []
    page.reload()
    assert page.evaluate(ground) == dark  # remembered
    page.evaluate("() => localStorage.clear()")
    page.reload()
    assert page.evaluate(ground) == light
    page.emulate_media(color_scheme="dark")  # as the system says
    assert page.evaluate(ground) == dark


NAMELESS = """() => [...document.querySelectorAll("button, select, input, a, progress, [tabindex], [role]")]
    .filter((one) => one.checkVisibility() && !(one.ariaLabel || one.getAttribute("aria-label") || one.textContent.trim()
        || [...(one.labels ?? [])].some((label) => label.textContent.trim()) || one.getAttribute("role") === "status"))
    .map((one) => one.outerHTML.slice(0, 100))"""
"""Controls that a screen reader would have no word for. A select's options are no name of it."""

FAINT = """() => {
    const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
    const linear = (v) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
    const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
    const ground = (one) => {
        const found = rgb(getComputedStyle(one).backgroundColor);
        return found[3] === 0 ? ground(one.parentElement) : found;
    };
    const told = {seen: 0, faint: []};
    for (const one of document.querySelectorAll("body *")) {
        const own = [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
        if (!own || !one.checkVisibility() || one.disabled || one.closest("label")?.control?.disabled) continue;
        const [a, b] = [light(rgb(getComputedStyle(one).color)), light(ground(one))].sort((x, y) => y - x);
        told.seen += 1;
        if ((a + 0.05) / (b + 0.05) < 4.5) told.faint.push(one.outerHTML.slice(0, 100));
    }
    return told;
}"""
"""Texts whose contrast with what lies under them is less than 4.5 (WCAG 2.1, AA)."""


def test_another_model_is_chosen_and_told_of(page, folder):
    assert page.inner_text("#facts").startswith("6 channels · 100 steps")
    page.select_option("#model", "small")
    page.wait_for_function("() => document.getElementById('facts').textContent.startsWith('3 channels')")
    page.wait_for_selector("#draw:enabled")
    assert "No built-in set has the 3 channels" in page.inner_text("#set-says")
    page.get_by_role("button", name="Draw").click()
    page.wait_for_selector(".tile")
    assert page.locator(".tile").count() == len(tsrep.load(folder).check)
    assert page.is_disabled("input[value=label]") and page.is_checked("input[value=time]")


def test_a_key_is_asked_for_and_kept_in_memory_alone(page, address):
    page.expected = "401"

    def door(route: Any) -> None:
        if route.request.headers.get("x-api-key") == "tsrep_right":
            route.continue_()
        else:
            error = {"error": {"reason": "key", "message": "expected a key of this service"}}
            route.fulfill(status=401, content_type="application/json", body=json.dumps(error))

    page.route("**/v1/*", door)
    page.reload()
    for key, shown in (("tsrep_wrong", True), ("tsrep_right", False)):
        page.get_by_label("This service asks for an API key").fill(key)
        page.get_by_role("button", name="Use").click()
        page.wait_for_selector("#key-form", state="visible" if shown else "hidden")
    page.wait_for_selector("#draw:enabled")
    assert page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])") == '[{},{},""]'
    assert "tsrep_right" not in page.content()


DRIFT = {
    "drifted": ({"value": 0.206, "threshold": 0.0027, "drifted": True, "says": "far"}, "▲ Drifted"),
    "steady": ({"value": 0.0, "threshold": 0.1, "drifted": False, "says": "near"}, "● Steady"),
    "unknown": ({"value": None, "threshold": None, "drifted": None, "says": "too few"}, "○ Not known yet"),
}


@pytest.mark.parametrize("case", DRIFT)
def test_drift_is_told_as_the_service_measures_it(page, case):
    told, said = DRIFT[case]
    asked = []
    page.on("request", lambda one: asked.append(urlsplit(one.url).path))
    full = {"statistic": "mmd", "recent": 12, "reference": 40, **told}
    page.route("**/v1/drift", lambda route: route.fulfill(json={"models": {"motions": full}}))
    page.reload()
    page.wait_for_function("(said) => document.getElementById('drift').textContent.includes(said)", arg=said)
    text = page.inner_text("#drift")
    assert told["says"] in text and "12" in text
    assert "/v1/drift" in asked and "/v1/openapi.json" not in asked
    if told["value"] is not None:
        picture = page.get_attribute("#drift svg", "aria-label")
        assert picture == f"MMD² {told['value']:g}, threshold {told['threshold']:g}" and picture in text


def test_what_the_page_asks_for_itself_is_no_drift_of_the_service(page, address):
    asked, was = [], page.request.get(f"{address}/v1/drift").json()["models"]["motions"]["recent"]
    page.on("request", lambda one: asked.append(one.url) if "/v1/embed" in one.url else None)
    page.get_by_role("button", name="Draw").click()
    page.wait_for_selector(".tile")
    assert asked and page.request.get(f"{address}/v1/drift").json()["models"]["motions"]["recent"] == was
