"""The pictures of the page that the README shows: `python pipelines/screenshots.py [FOLDER [MODEL]]`, about a minute.

It trains a small model on BasicMotions where none is given, serves it, and looks at the page with Chromium (TSREP_CHROMIUM, or
what is on the path) through Playwright's driver: pip install "tsrep[dev]", apt-get install chromium.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright
from tsrep_deploy.running import running

import tsrep

PICTURES = Path(__file__).parent / "results"
QUIET = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
SIZE = {"width": 1440, "height": 1250}


def main(out: Path = PICTURES, model: Path | None = None) -> None:
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        if model is None:
            data = tsrep.load_dataset("BasicMotions")
            model = tsrep.fit(data.train, method="ts2vec", seed=0, training={"steps": 60}).save(
                Path(folder) / "motions"
            )
        with running(f"motions={model}") as address, sync_playwright() as driver:
            chromium = os.environ.get("TSREP_CHROMIUM") or shutil.which("chromium")
            browser = driver.chromium.launch(executable_path=chromium, args=QUIET.split())
            for scheme in ("light", "dark"):
                page = browser.new_page(viewport=SIZE, color_scheme=scheme)
                shoot(page, address, out / f"page_{scheme}.png")
                page.close()
            browser.close()


def shoot(page: Page, address: str, path: Path) -> None:
    """The page with the built-in windows, one of them chosen."""
    page.goto(address)
    page.wait_for_selector("#draw:enabled")
    page.get_by_role("button", name="Draw").click()
    page.wait_for_selector(".tile")
    page.focus("#map")
    for key in ("Home", *["ArrowRight"] * 4):
        page.keyboard.press(key)
    page.evaluate("() => document.activeElement.blur()")
    picture = Image.open(io.BytesIO(page.screenshot()))
    picture.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
        path, optimize=True
    )  # a third as large
    print(f"{path}: {path.stat().st_size // 1024} kB")


if __name__ == "__main__":
    main(*(Path(one) for one in sys.argv[1:3]))
