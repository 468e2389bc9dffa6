"""The pages in a real browser, against a real server process."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from axe_core_python.base import AXE_SCRIPT
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
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
    process.communicate(timeout=400)


@pytest.fixture(autouse=True)
def left_alone(browser):
    """Leaves the page and forgets its errors: it goes on asking a server that has ended."""
    yield
    browser.get("about:blank")
    errors(browser)


@pytest.fixture(scope="module")
def address(promoted_config):
    process, found = server(promoted_config)
    yield found
    ended(process)


def wait(browser, what):
    """Waits for something that may be replaced while it is looked at."""
    return WebDriverWait(browser, 120, ignored_exceptions=[StaleElementReferenceException]).until(what)


def errors(browser):
    return [one["message"] for one in browser.get_log("browser") if one["level"] == "SEVERE"]


PAGES = ["/robustness", "/robustness/curve", "/robustness/idle", "/compare?study=curve&study=idle", "/hpo/docs"]


@pytest.mark.parametrize("path", [*PAGES, "/dashboard"])
def test_pages_load_without_errors(browser, address, path):
    browser.get(address + path)
    wait(browser, lambda b: len(b.find_element(By.TAG_NAME, "body").text) > 50)
    assert errors(browser) == []


@contextmanager
def screen(browser, width, scheme="light"):
    """A screen of a width in pixels, which a window cannot be as narrow as, in a color scheme."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    preferred = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": preferred})
    try:
        yield
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def violations(browser):
    """What axe-core finds: rules of WCAG 2.1 A and AA and best practices, each with its first element."""
    browser.execute_script(AXE_SCRIPT)
    rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]
    return browser.execute_async_script(
        "const done = arguments[1]; axe.run(document, { runOnly: arguments[0] }).then((found) =>"
        " done(found.violations.map((one) => `${one.id}: ${one.nodes[0].html.slice(0, 200)}`)))",
        rules,
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("path", PAGES)
def test_pages_are_accessible(browser, address, path, width, scheme):
    with screen(browser, width, scheme):
        browser.get(address + path)
        wait(browser, lambda b: b.find_elements(By.TAG_NAME, "h1"))
        browser.execute_script("for (const one of document.querySelectorAll('details')) one.open = true")
        assert violations(browser) == []
        reach, shown = browser.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
        assert reach <= shown
        assert errors(browser) == []


def test_axe_finds_what_is_wrong(browser, address):
    browser.get(address + "/robustness")
    browser.execute_script("document.querySelector('h1').style.color = '#eee'")
    assert [one.split(":")[0] for one in violations(browser)] == ["color-contrast"]


def test_a_phone_shows_every_number(browser, address):
    with screen(browser, 390):
        browser.get(address + "/robustness/curve")
        card = browser.find_element(By.CSS_SELECTOR, "#leaderboard tr.winner")
        shown = {
            cell.get_attribute("data-label"): cell for cell in card.find_elements(By.CSS_SELECTOR, "td[data-label]")
        }
        for name in ("rank", "seed 42", "seed 43", "seed 44", "mean", "sigma", "score", "95 % interval", "search"):
            assert shown[name].is_displayed()
            assert shown[name].rect["x"] + shown[name].rect["width"] <= 390


def test_a_trial_is_lit_everywhere(browser, address):
    browser.get(address + "/robustness/curve")
    row = browser.find_element(By.CSS_SELECTOR, "#leaderboard tr.winner")
    browser.execute_script("arguments[0].dispatchEvent(new PointerEvent('pointerover', { bubbles: true }))", row)
    number_ = row.get_attribute("data-trial")
    lit = {one.get_attribute("data-trial") for one in browser.find_elements(By.CSS_SELECTOR, ".lit")}
    assert lit == {number_}
    assert browser.find_elements(By.CSS_SELECTOR, f'#history .lit[data-trial="{number_}"]')
    assert browser.find_elements(By.CSS_SELECTOR, f'#parallel .lit[data-trial="{number_}"]')


def names(browser):
    return [
        one.get_attribute("data-name")
        for one in browser.find_elements(By.CSS_SELECTOR, "#studies tbody tr")
        if one.is_displayed()
    ]


def test_the_list_is_filtered_and_sorted(browser, address):
    browser.get(address + "/robustness")
    assert names(browser) == ["curve", "idle"]
    button = browser.find_element(By.CSS_SELECTOR, "th[data-key=name] button")
    button.click()
    button.click()
    assert names(browser) == ["idle", "curve"]
    assert browser.find_element(By.CSS_SELECTOR, "th[data-key=name]").get_attribute("aria-sort") == "descending"
    Select(browser.find_element(By.ID, "filter-state")).select_by_visible_text("promoted")
    assert names(browser) == ["curve"]
    browser.find_element(By.ID, "filter-text").send_keys("nothing")
    assert names(browser) == []
    assert browser.find_element(By.ID, "filter-count").text == "0 of 2 studies"


def test_a_study_is_changed_in_the_list(browser, tmp_path):
    config = hpo.RunConfig(storage=f"sqlite:///{tmp_path / 'hpo.db'}", outputs=tmp_path / "outputs", backend="local")
    for name in ("keep", "drop"):
        hpo.run(study(name, trials=1), config)
    process, found = server(config, HPO_TOKEN=TOKEN)
    try:
        browser.get(f"{found}/robustness")
        browser.find_element(By.ID, "token").send_keys(TOKEN, Keys.ENTER)
        press(browser, "keep", "rename", "kept")
        wait(browser, lambda b: names(b) == ["kept", "drop"])
        press(browser, "kept", "archive")
        wait(browser, lambda b: names(b) == ["drop"])
        press(browser, "drop", "delete", "another")
        assert "was not deleted" in browser.find_element(By.ID, "announcement").get_attribute("textContent")
        press(browser, "drop", "delete", "drop")
        wait(browser, lambda b: b.find_elements(By.ID, "filter-archived"))
        wait(browser, lambda b: "0 of 1 studies" in b.find_element(By.ID, "filter-count").text)
        browser.find_element(By.ID, "filter-archived").click()
        assert names(browser) == ["kept"]
    finally:
        browser.delete_all_cookies()  # they count for every port
        ended(process)


def press(browser, name, what, answer=None):
    """Presses a button of a study's row and answers the question that it asks."""

    def pressed(browser):
        row = browser.find_element(By.CSS_SELECTOR, f'#studies tr[data-name="{name}"]')
        if row.find_element(By.TAG_NAME, "details").get_attribute("open") is None:
            row.find_element(By.TAG_NAME, "summary").click()
        row.find_element(By.CSS_SELECTOR, f'button[data-do="{what}"]').click()
        return True

    wait(browser, lambda b: name in names(b))
    wait(browser, pressed)  # the list is read again every few seconds, which replaces the row
    if answer is not None:
        asked = wait(browser, lambda b: b.switch_to.alert)
        asked.send_keys(answer)
        asked.accept()


def test_a_running_search_is_live(browser, tmp_path):
    config = hpo.RunConfig(storage=f"sqlite:///{tmp_path / 'hpo.db'}", outputs=tmp_path / "outputs", backend="local")
    code = (
        "import hpo, pathlib\n"
        "from tests.serve.conftest import study\n"
        f"outputs = pathlib.Path({str(config.outputs)!r})\n"
        f"config = hpo.RunConfig(storage={config.storage!r}, outputs=outputs, backend='local')\n"
        "slow = study('slow', trials=100, budget=40, pruner='none').model_copy(update={'fixed': {'nap': 0.2}})\n"
        "hpo.run(slow, config)"
    )
    hpo.run(study("first", trials=1), config)
    process, found = server(config)
    search = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    try:
        wait(browser, lambda _: httpx2.get(f"{found}/hpo/v1/studies/slow").json().get("counts"))
        browser.get(f"{found}/robustness/slow")
        epoch = "return Number(document.querySelector('#now progress')?.value ?? 0)"
        first = wait(browser, lambda b: b.execute_script(epoch))
        wait(browser, lambda b: b.execute_script(epoch) > first + 5)
        assert browser.find_elements(By.CSS_SELECTOR, "#running .running")
        count, milliseconds = browser.execute_script(
            "const asked = performance.getEntriesByType('resource').filter((one) => one.name.includes('fragment'));"
            "return [asked.length, performance.now()]"
        )
        assert 0 < count <= milliseconds / 1000
        assert errors(browser) == []
    finally:
        search.kill()
        search.wait()
        ended(process)


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
