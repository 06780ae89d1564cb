"""Record the event streams that the report's tests read, from real previews.

    python -m tests.components.report.record local

Each is what the engine wrote, less its debug lines, the pickled dynamic providers and the folder of the run, which
would differ each time.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.engine.stack import LocalStack

if TYPE_CHECKING:
    from collections.abc import Mapping

STREAMS = Path(__file__).parent / "streams"
OLDER = "3.10.1"


class RecordedStack(LocalStack):
    """A local stack whose previews are kept."""

    @property
    def environment(self) -> dict[str, str]:
        """Pulumi shows its event log only if its debugging commands are asked for, as the Automation API does."""
        return {**super().environment, "PULUMI_DEBUG_COMMANDS": "true"}

    def record(self, name: str, *flags: str) -> None:
        """Preview the stack and keep the stream under `name`."""
        log = self.folder / f"{name}.jsonl"
        done = self.pulumi("preview", "--stack", self.name, "--event-log", str(log), *flags)
        keep(name, log, folder=self.folder)
        print(f"{name}: pulumi ended with {done.code}")


def keep(name: str, log: Path, *, folder: Path) -> None:
    """Write the stream of `log` to its place, free of what differs from run to run."""
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    kept = [json.dumps(_plain(event), separators=(",", ":")) for event in lines if _worth(event)]
    text = "".join(f"{line}\n" for line in kept).replace(str(folder), "/run")
    (STREAMS / f"{name}.jsonl").write_text(text, encoding="utf-8")


def local() -> None:
    """Record a backend's first preview, an unchanged one, an upgrade over a migration, a refusal, and a refresh."""
    with tempfile.TemporaryDirectory() as folder:
        stack = RecordedStack(Path(folder) / "stack")
        try:
            stack.write_settings(server={"mlflowVersion": OLDER})
            stack.record("local-first")
            stack.must_up()
            stack.record("local-unchanged")
            stack.write_settings(server={"mlflowVersion": "3.17.2"})
            stack.record("local-upgrade")
            stack.write_settings(server={"mlflowVersion": "2.9.2"})
            stack.record("local-downgrade")
            stack.write_settings(server={"mlflowVersion": OLDER})
            stack.record("local-refreshed", "--refresh")
        finally:
            stack.close()


def _worth(event: Mapping[str, Any]) -> bool:
    diagnostic = event.get("diagnosticEvent") or {}
    return diagnostic.get("severity") != "debug" and not diagnostic.get("ephemeral")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if key != "__provider"}
    return [_plain(item) for item in value] if isinstance(value, list) else value


if __name__ == "__main__":
    for part in sys.argv[1:]:
        {"local": local}[part]()
