"""A person's view: the UI of the deployed server shows what a client logged.

Chromium runs headless from its command line, with a profile of its own. Debian's is installed if it is missing and
root may do it; else the tests are skipped, visibly, which fails a run in CI.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests import apt
from tests.engine.calls import call

if TYPE_CHECKING:
    from pathlib import Path

    from tests.engine.stack import LocalStack

NAMES = ("chromium", "chromium-browser", "google-chrome")
TRIES = 4

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module", autouse=True)
def browser() -> str:
    """The browser's program."""
    if not any(map(shutil.which, NAMES)) and (reason := apt.why_missing(NAMES[:1])):
        pytest.skip(f"the user interface is drawn by Chromium: {reason}")
    return next(name for name in NAMES if shutil.which(name))


def opened(browser: str, url: str, profile: Path) -> str:
    """The page as a browser has built it, after its scripts ran."""
    options = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run")
    line = [browser, *options, f"--user-data-dir={profile}", "--virtual-time-budget=30000", "--dump-dom", url]
    done = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_the_ui_shows_what_a_client_logged(browser: str, deployed: LocalStack, tmp_path: Path) -> None:
    """The experiment of a client stands in the list that the UI's own scripts fetch and draw."""
    url = deployed.output("trackingUrl")
    name = f"seen by a person {time.time_ns()}"
    call(url, "experiments/create", {"name": name})
    # Virtual time may run out before a slow answer: a page that is not drawn yet is opened again.
    assert any(name in opened(browser, f"{url}/#/experiments", tmp_path / str(number)) for number in range(TRIES))
