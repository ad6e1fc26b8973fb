"""What the page computes by itself, asked of its modules in a browser without a service: windows of a table, the plane of the map."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from page_numbers import by_hand
from tsrep_deploy import page_files

import tsrep


@pytest.fixture(scope="module")
def modules(browser: Any) -> Iterator[Any]:
    """A page whose files come from the folder."""

    def answer(route: Any) -> None:
        path = page_files.FILES.get(urlsplit(route.request.url).path)
        if path is None:
            route.fulfill(status=200, content_type="text/html", body="<!doctype html><title>modules</title>")
        else:
            route.fulfill(status=200, content_type=page_files.TYPES[path.suffix], body=path.read_text())

    page = browser.new_page()
    page.route("**/*", answer)
    page.goto("http://page.test/empty")
    yield page
    page.close()


def test_windows_are_cut_as_the_package_cuts_them(modules):
    """Unordered rows, dates, quotes, semicolons, gaps, a short end; against `tsrep.windows`."""
    rng = np.random.default_rng(3)
    steps, hop, length = {"a": 250, "b, the second": 40, "c": 199}, 30, 60
    lines, values = [], {}
    for name, many in steps.items():
        values[name] = rng.standard_normal((2, many)).round(3)
        values[name][1, ::7] = np.nan
        for step in range(many):
            cells = [f'"{name}"', f"2024-01-01 00:{step // 60:02d}:{step % 60:02d}", "x" if step < 90 else "y"]
            lines.append(";".join(cells + ["" if np.isnan(x) else str(x) for x in values[name][:, step]]))
    order = np.argsort([line.split(";")[0] + str(rng.random()) for line in lines])
    text = "\r\n".join(["id;timestamp;label;u;v", *(lines[i] for i in order)]) + "\r\n"
    made = modules.evaluate(
        """async ([text, options]) => {
            const [csv, windows] = await Promise.all([import("/page/csv.js"), import("/page/windows.js")]);
            const {windows: made, notes} = windows.cut(csv.parse(text), options);
            const plain = made.map((one) => ({...one, values: one.values.map((v) => [...v].map((x) => Number.isNaN(x) ? null : x))}));
            return {made: plain, notes};
        }""",
        [text, {"wanted": ["u", "v"], "length": length, "hop": hop, "file": "f"}],
    )
    panel = tsrep.windows(tsrep.as_panel(list(values.values())), length, hop, keep_short=True)
    kept = [row for row in range(len(panel)) if panel.start[row] == 0 or panel.lengths[row] * 2 >= length]
    assert len(made["made"]) == len(kept) > 10
    for one, row in zip(made["made"], kept, strict=True):
        assert (one["series"], one["start"]) == (list(steps)[panel.recording[row]], panel.start[row])
        np.testing.assert_allclose(np.array(one["values"], np.float32), panel.values[row, :, : one["steps"]])
        assert one["time"] == pytest.approx(1704067200 + panel.start[row])
        assert one["label"] == ("x" if panel.start[row] + one["steps"] / 2 <= 90 else "y")
    assert bool(made["notes"]) == (len(kept) < len(panel))


def test_more_windows_than_a_map_holds_are_refused_before_they_are_cut(modules):
    said = modules.evaluate(
        """async () => {
            const {cut} = await import("/page/windows.js");
            const table = {names: ["u"], columns: {u: new Array(400000).fill("1")}, rows: 400000};
            const tried = (hop) => {
                try {
                    return cut(table, {wanted: ["u"], length: 64, hop, file: "f"}).windows.length;
                } catch (error) {
                    return error.message;
                }
            };
            const first = tried(1);
            return [first, tried(Number(/every (\\d+) steps/.exec(first)[1]))];
        }"""
    )
    assert said[0].startswith("expected at most 5000 windows to draw, got 399937: take a window every 81 steps")
    assert 4000 < said[1] <= 5000


@pytest.mark.parametrize("shape", [(40, 16), (7, 30), (2, 3), (5, 1), (30, 200)])
def test_the_plane_is_that_of_a_singular_value_decomposition(modules, shape):
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32) @ np.diag(0.8 ** np.arange(shape[1])).astype(
        np.float32
    )
    told = modules.evaluate(
        """async ([flat, features]) => {
            const {plane} = await import("/page/pca.js");
            const {x, y, share} = plane(Float32Array.from(flat), features);
            return [[...x], [...y], share];
        }""",
        [x.ravel().tolist(), shape[1]],
    )
    if shape[1] == 1:
        assert told[2] == pytest.approx([1, 0]) and not any(told[1])
        return
    place, share = by_hand(x)
    np.testing.assert_allclose(np.transpose(told[:2]), place, atol=1e-5)
    np.testing.assert_allclose(told[2], share, atol=1e-8)
