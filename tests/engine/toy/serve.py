"""The toy's server: the stand-in for MLflow of this project's tests, until it is killed."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from tests.components.verify.fake_mlflow import FakeMLflow

with FakeMLflow() as server:
    Path(sys.argv[1]).write_text(server.url, encoding="utf-8")
    print(f"serving at {server.url}", flush=True)
    threading.Event().wait()
