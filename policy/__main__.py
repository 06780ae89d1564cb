"""What Pulumi starts as a policy pack: `pulumi preview --policy-pack policy`."""

from __future__ import annotations

import sys
from pathlib import Path

# Pulumi runs this folder by its path, and nothing of this project is installed in the environment.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def main() -> None:
    """Serve the policies until the engine ends this process."""
    from policy.pack import serve  # noqa: PLC0415 - importable only after the line above

    serve()


if __name__ == "__main__":
    main()
