"""Looks for secrets in exactly the files that git has or would take: the hook `secrets` (.pre-commit-config.yaml).

gitleaks knows no .gitignore and takes one folder, so it gets a folder that holds these files and nothing else.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from tools.bootstrap import files

GITLEAKS = Path(".tools", "linters", "gitleaks")
DEADLINE_S = 600


def main() -> int:
    """Look through the working directory; return the exit code of gitleaks: 0, or 1 if there is a secret."""
    command = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    listed = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout.decode()
    with tempfile.TemporaryDirectory(prefix="mlflow-backend-leaks-") as scratch:
        for name in filter(None, set(listed.split("\0"))):
            # A file that is deleted and not committed is listed still.
            if Path(name).is_file():
                target = Path(scratch, name)
                target.parent.mkdir(parents=True, exist_ok=True)
                files.link_or_copy(Path(name), target)
        argv = (GITLEAKS.absolute(), "dir", ".", f"--config={Path('.gitleaks.toml').absolute()}")
        shown = ("--no-banner", "--no-color", "--redact", "--verbose")
        return subprocess.run((*argv, *shown), cwd=scratch, timeout=DEADLINE_S, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
