"""The pages in a real browser, against a real server process."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

import hpo
from hpo.core.formatting import number
from tests.serve.conftest import TOKEN, study

ROOT = Path(__file__).parents[2]
DRIVER = shutil.which("chromedriver")
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (DRIVER and BROWSER), reason="there is no chromium with its driver"),
]


@pytest.fixture(scope="module")
def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1280,1000"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    found = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield found
    found.quit()


def server(config, **environment):
    """Starts `hpo serve` and returns its process and address."""
    serve = ["serve", "--port", "0", "--storage", config.storage, "--outputs", str(config.outputs)]
    process = subprocess.Popen(
        [sys.executable, "-c", "from hpo.cli import main; main()", *serve],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stderr=subprocess.PIPE,
        text=True,
    )
    found = re.match(r"(http://\S+)/robustness", line := process.stderr.readline())
    assert found, line + process.stderr.read()
    return process, found[1]


def ended(process):
    process.terminate()
    process.communicate(timeout=20)


@pytest.fixture(scope="module")
def address(promoted_config):
    process, found = server(promoted_config)
    yield found
    ended(process)


def wait(browser, what):
    return WebDriverWait(browser, 30).until(what)


def errors(browser):
    return [one["message"] for one in browser.get_log("browser") if one["level"] == "SEVERE"]


@pytest.mark.parametrize("path", ["/robustness", "/robustness/curve", "/robustness/idle", "/hpo/docs", "/dashboard"])
def test_pages_load_without_errors(browser, address, path):
    browser.get(address + path)
    wait(browser, lambda b: len(b.find_element(By.TAG_NAME, "body").text) > 50)
    assert errors(browser) == []


def test_each_seed_is_a_point(browser, address):
    browser.get(address + "/robustness/curve")
    wait(browser, lambda b: len(b.find_elements(By.CSS_SELECTOR, "#curves .trace")) >= 3)
    wait(browser, lambda b: b.find_elements(By.CSS_SELECTOR, "#optimism .point"))
    first = browser.find_element(By.CSS_SELECTOR, "#leaderboard tbody tr")
    dots = [dot for dot in first.find_elements(By.CSS_SELECTOR, ".dot") if dot.is_displayed()]
    assert len(dots) == 4


@pytest.mark.slow
def test_files_work_under_their_policy(browser, promoted_config):
    from hpo.serve.views import write_report

    report = write_report("curve", promoted_config)
    folder = promoted_config.outputs / "curve"
    for file, what in ((report, "#curves .trace"), (folder / "promotion.html", "#promotion .point")):
        assert "script-src 'sha256-" in file.read_text()
        browser.get(file.as_uri())
        wait(browser, lambda b, what=what: b.find_elements(By.CSS_SELECTOR, what))
        assert errors(browser) == []
        browser.execute_script("document.body.insertAdjacentHTML('beforeend', '<p onclick=\"window.hit=1\" id=evil>x')")
        browser.execute_script("document.getElementById('evil').click()")
        assert browser.execute_script("return window.hit") is None
        errors(browser)  # clears the error about the blocked script


def order(browser):
    return [row.get_attribute("data-trial") for row in browser.find_elements(By.CSS_SELECTOR, "#leaderboard tbody tr")]


@pytest.mark.slow
def test_slider_ranks_like_the_server(browser, contested):
    process, found = server(contested)
    try:
        browser.get(f"{found}/robustness/curve")
        slider, ddofs = browser.find_element(By.ID, "lambda"), Select(browser.find_element(By.ID, "ddof"))
        orders = set()
        for key, weight in ((Keys.END, "5"), (Keys.HOME, "0")):
            slider.send_keys(key)
            for ddof in ("1", "unbiased", "0"):
                ddofs.select_by_visible_text(ddof)
                query = {"lambda": weight, "ddof": ddof}
                ranked = httpx2.get(f"{found}/hpo/v1/studies/curve/ranking", params=query).json()["candidates"]
                assert order(browser) == [str(one["trial"]) for one in ranked]
                shown = [cell.text for cell in browser.find_elements(By.CSS_SELECTOR, "#leaderboard td.score")]
                assert shown == [number(one["score"]) for one in ranked]
                orders.add(tuple(order(browser)))
        assert len(orders) > 1, "the study is one whose order depends on lambda"
        assert "would be first" in browser.find_element(By.ID, "announcement").get_attribute("textContent")
    finally:
        ended(process)


def test_fits_a_narrow_window(browser, address):
    browser.set_window_size(500, 900)
    try:
        browser.get(address + "/robustness/curve")
        wait(browser, lambda b: b.find_elements(By.CSS_SELECTOR, "#optimism .point"))
        width, shown = browser.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
        assert width <= shown
    finally:
        browser.set_window_size(1280, 1000)


@pytest.mark.slow
def test_token_is_asked_for_once(browser, promoted_config):
    process, found = server(promoted_config, HPO_TOKEN=TOKEN)
    try:
        browser.get(f"{found}/robustness/curve")
        assert "/login" in browser.current_url
        field = browser.find_element(By.ID, "token")
        field.send_keys("something else", Keys.ENTER)
        wait(browser, lambda b: b.find_elements(By.CSS_SELECTOR, "[role=alert]"))
        browser.find_element(By.ID, "token").send_keys(TOKEN, Keys.ENTER)
        wait(browser, lambda b: b.find_elements(By.ID, "leaderboard"))
        assert browser.current_url == f"{found}/robustness/curve"
        browser.get(f"{found}/dashboard")
        assert "/login" not in browser.current_url
        assert browser.execute_script("return document.cookie") == ""
    finally:
        ended(process)


@pytest.mark.slow
def test_page_updates_after_promotion(browser, tmp_path):
    config = hpo.RunConfig(storage=f"sqlite:///{tmp_path / 'hpo.db'}", outputs=tmp_path / "outputs", backend="local")
    hpo.run(study("curve"), config)
    process, found = server(config)
    try:
        browser.get(f"{found}/robustness/curve")
        assert "No promotion yet" in browser.find_element(By.TAG_NAME, "main").text
        browser.execute_async_script("setTimeout(arguments[0], 3500)")  # after the page's first update
        hpo.promote(study("curve"), config, top=2)
        wait(browser, lambda b: "Winner: trial" in b.find_element(By.TAG_NAME, "main").text)
        assert browser.find_elements(By.ID, "leaderboard")
    finally:
        ended(process)
