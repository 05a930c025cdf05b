"""`inspect` in a real browser: Chromium without a window, as Debian packages it (`.ci/run` installs it there)."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from selenium.webdriver.chrome.webdriver import WebDriver

    from tests.inspector.conftest import InspectServer

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
SKIP_REASON = "no chromium and chromedriver here (Debian: apt install chromium chromium-driver)"

pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason=SKIP_REASON)


@pytest.fixture
def chromium(tmp_path: Path) -> Iterator[WebDriver]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for argument in ("--headless=new", "--disable-dev-shm-usage", "--window-size=1280,1250", "--hide-scrollbars"):
        options.add_argument(argument)
    if os.getuid() == 0:
        options.add_argument("--no-sandbox")  # Chromium's own sandbox does not start as root, as in a CI container
    options.add_experimental_option("prefs", {"download.default_directory": str(tmp_path)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, Service(DRIVER or ""))
    try:
        yield driver
    finally:
        driver.quit()


def is_wider_than_the_window(chromium: WebDriver) -> bool:
    """Whether anything on the page, a table in its own scroller too, has to be moved sideways to be read."""
    script = "return [document.documentElement, ...document.querySelectorAll('.table-wrapper')]"
    return bool(chromium.execute_script(f"{script}.some(box => box.scrollWidth > box.clientWidth)"))


def test_the_start_page_a_person_a_csv_and_a_refused_write(
    chromium: WebDriver, inspect_server: InspectServer, capsys: pytest.CaptureFixture[str]
) -> None:
    chromium.get(inspect_server.entry_url)
    assert chromium.current_url == f"{inspect_server.base_url}/"
    assert chromium.find_element(By.CSS_SELECTOR, ".tiles b").text == "6"
    plots = chromium.find_elements(By.CSS_SELECTOR, ".plots svg")
    assert len(plots) == 4
    assert all(plot.size["height"] > 50 for plot in plots)

    chromium.find_element(By.NAME, "name_or_number").send_keys("Mustermann\n")
    chromium.find_element(By.LINK_TEXT, "104711").click()
    assert chromium.find_element(By.TAG_NAME, "h1").text == "Max Mustermann"
    assert "lost" in chromium.find_element(By.CSS_SELECTOR, "table.sides").text
    assert not is_wider_than_the_window(chromium)
    chromium.find_element(By.CSS_SELECTOR, "button.copy").click()
    chromium.find_element(By.LINK_TEXT, "The same as a table").click()
    story = chromium.find_element(By.CSS_SELECTOR, "table.rows-and-columns").text
    assert "a value lost" in story

    address = chromium.find_element(By.LINK_TEXT, "CSV").get_attribute("href")
    csv_text = chromium.execute_async_script(
        "const tell = arguments[1]; fetch(arguments[0]).then(answer => answer.text()).then(tell)", address
    )
    assert csv_text.splitlines()[0] == "at,run_id,what,side,action,old_value,new_value,why,state"
    assert "0511 1234577" in csv_text

    chromium.get(f"{inspect_server.base_url}/state?sql=with+x+as+(select+1)+delete+from+persons")
    assert "attempt to write a readonly database" in chromium.page_source
    chromium.get(f"{inspect_server.base_url}/")
    chromium.find_element(By.LINK_TEXT, "persons").click()
    assert not is_wider_than_the_window(chromium)
    assert "7 rows" in chromium.find_element(By.TAG_NAME, "h3").text

    log = chromium.get_log("browser")  # type: ignore[no-untyped-call]
    messages = [entry["message"] for entry in log if "400" not in entry["message"]]
    assert messages == []
    assert capsys.readouterr().err == ""
