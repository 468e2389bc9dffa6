"""The pictures of the pages in docs/images: `python -m tests.serve.screenshots` makes them again, in a few minutes.

The studies `digits` and `digits-front` are searched and promoted for them, so that nothing in a picture is made up.
With a folder as argument they are kept there, and a second call trains nothing.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, chdir, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from selenium import webdriver

import hpo

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "images"


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One picture: of which page, how wide, how much of it."""

    name: str
    path: str
    width: int = 1280
    height: int = 900
    dark: bool = False
    below: str = ""


PICTURES = (
    Picture(name="study", path="/robustness/digits", width=1920, height=1080),
    Picture(name="search", path="/robustness/digits", width=1920, height=1080, below="search"),
    Picture(name="study-phone", path="/robustness/digits", width=390, height=844, dark=True),
    Picture(name="studies", path="/robustness", height=420),
    Picture(name="compare", path="/compare?study=digits&trial={first}&trial={second}", height=900),
    Picture(name="front", path="/robustness/digits-front", height=760, below="front"),
)


@contextmanager
def browser() -> Iterator[webdriver.Chrome]:
    """Chromium without a window."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("chromium-browser") or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    found = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver") or ""))
    try:
        yield found
    finally:
        found.quit()


@contextmanager
def served(config: hpo.RunConfig) -> Iterator[str]:
    """A server of a storage; yields its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = ["serve", "--port", str(port), "--storage", config.storage, "--outputs", str(config.outputs)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-c", "from hpo.cli import main; main()", *command], env=environment)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            with socket.socket() as one:
                if one.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait()


def take(driver: webdriver.Chrome, address: str, picture: Picture, folder: Path) -> Path:
    """Takes a picture and returns its path."""
    size = {"width": picture.width, "height": picture.height, "deviceScaleFactor": 1, "mobile": picture.width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    scheme = [{"name": "prefers-color-scheme", "value": "dark" if picture.dark else "light"}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
    driver.get(address + picture.path)
    if picture.below:
        driver.execute_script("document.getElementById(arguments[0]).scrollIntoView()", picture.below)
    time.sleep(0.5)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{picture.name}.png"
    driver.save_screenshot(str(path))
    return path


def made() -> tuple[hpo.RunConfig, tuple[int, int]]:
    """Searches and promotes the studies here, and returns where, with the first two candidates of `digits`."""
    config = hpo.RunConfig(storage="sqlite:///hpo.db", outputs=Path("outputs"), backend="local")
    digits = hpo.load_study(ROOT / "studies" / "digits.toml")
    hpo.run(digits, config)
    rows = hpo.promote(digits, config, top=5, seeds=[42, 43, 44, 45, 46, 47]).ranking.rows
    hpo.decompose(digits, config, trial=rows[0].candidate.trial)
    front = hpo.load_study(ROOT / "studies" / "digits-front.toml")
    hpo.run(front, config, trials=16)
    hpo.promote(front, config)
    return config, (rows[0].candidate.trial, rows[1].candidate.trial)


def main() -> None:
    """Makes all pictures."""
    with ExitStack() as stack:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        stack.enter_context(chdir(folder))  # so that the pages show the storage as a user types it
        config, (first, second) = made()
        address, driver = stack.enter_context(served(config)), stack.enter_context(browser())
        for picture in PICTURES:
            path = picture.path.format(first=first, second=second)
            print(take(driver, address, replace(picture, path=path), FOLDER).relative_to(ROOT))


if __name__ == "__main__":
    main()
