"""Entry point: `python3 -m tools.bootstrap [--group runtime|dev]`, from the repository's root.

The version check comes before the imports, and this file keeps to old syntax, so that an old Python says what is wrong
instead of failing on what it cannot parse.
"""

import os
import sys

if sys.version_info < (3, 11):
    sys.stderr.write(
        "set-up: python: this is Python %d.%d, and mlflow-backend needs 3.11 or newer; "
        "name one with `make PYTHON=/path/to/python3 ...`\n" % sys.version_info[:2]
    )
    sys.exit(2)

if sys.getfilesystemencoding() != "utf-8":
    # An ASCII locale: a path in another alphabet could not be written down, nor a settings file read.
    os.environ["PYTHONUTF8"] = "1"
    os.execv(sys.executable, [sys.executable, "-m", "tools.bootstrap", *sys.argv[1:]])  # noqa: S606

from tools.bootstrap.setup import main

sys.exit(main(sys.argv[1:]))
