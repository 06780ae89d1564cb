"""The target `local`: processes of this user on this machine's loopback."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.contract import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mlflow_backend.contract import ExitCode
    from mlflow_backend.local.backend import LocalBackend
    from mlflow_backend.local.logs import LocalLogs
    from mlflow_backend.local.releases import LocalReleases
    from mlflow_backend.preflight.findings import Finding
    from mlflow_backend.settings import Settings

# Each method imports what it needs: a command that asks one thing must not wait for the others.
# ruff: noqa: PLC0415


class LocalTarget:
    """See target.Target."""

    name = "local"
    loopback = True
    platforms: frozenset[str] = frozenset()

    def build(self, settings: Settings, *, project: str, stack: str, folder: Path) -> LocalBackend:
        """Register the backend, in a folder of its own."""
        del project
        from mlflow_backend.local.backend import LocalBackend, LocalBackendArgs

        return LocalBackend("mlflow", LocalBackendArgs(settings=settings, folder=folder / stack))

    def locate(self, settings: Callable[[], Settings], *, project: str, stack: str, folder: Path) -> dict[str, str]:
        """Return the folder, whatever the stack's file says by now."""
        del settings, project
        if not (folder / stack).exists():
            raise Refused(
                f"Stack {stack} has no local backend here.",
                code="local-backend-missing",
                fix=f"Run `make up STACK={stack}`.",
            )
        return {"kind": self.name, "state": str(folder / stack)}

    def doctor(self, settings: Settings, *, project: str, stack: str, folder: Path) -> Sequence[Finding]:
        """Look at this machine, and at the project's folder."""
        del project
        from mlflow_backend.local import doctor
        from mlflow_backend.local.state import StateDir

        return tuple(doctor.look(settings, StateDir(folder / stack), folder.parent))

    def rotate_keys(
        self, settings: Callable[[], Settings], *, project: str, stack: str, folder: Path, lost: bool
    ) -> str:
        """Draw new keys, or give up those whose file is lost."""
        self.locate(settings, project=project, stack=stack, folder=folder)
        from mlflow_backend.local import encryption, holding
        from mlflow_backend.local.state import StateDir
        from mlflow_backend.releases.holds import refuse_rotation

        state = StateDir(folder / stack)
        refuse_rotation(holding.ledger_state(state, requested=None))
        if lost:
            aside = encryption.give_up(state)
            return "The lost keys are given up." + (f" What was left of them is in {aside}." if aside else "")
        encryption.rotate(state)
        return "New keys are drawn."

    def releases(self, locator: Mapping[str, str]) -> LocalReleases:
        """Return the releases of the backend in a folder."""
        from mlflow_backend.local.releases import open_releases

        return open_releases(locator)

    def running_revision(self, locator: Mapping[str, str]) -> str:
        """Return the revision that the proxy points to, if it runs."""
        from mlflow_backend.local.history import running_revision

        return running_revision(Path(locator["state"]))

    def purger(self, locator: Mapping[str, str]) -> Callable[..., int]:
        """Return what asks this machine's Postgres."""
        from mlflow_backend.local.purge import purge

        return partial(purge, locator)

    def secrets(self) -> Mapping[str, Callable[[str], tuple[str, str]]]:
        """Return nothing: secrets here are files."""
        return {}

    def verifier(self) -> Any:
        """Return the runner: the URL is called from here."""
        from mlflow_backend.verify import runner

        return runner

    def status(self, locator: Mapping[str, str]) -> tuple[Sequence[str], ExitCode]:
        """Return the processes, the revisions and the last verdict."""
        from mlflow_backend.local import status
        from mlflow_backend.local.state import StateDir

        return status.show(StateDir(Path(locator["state"])))

    def logs(self, locator: Mapping[str, str]) -> LocalLogs:
        """Return the processes' files."""
        from mlflow_backend.local.logs import LocalLogs
        from mlflow_backend.local.state import StateDir

        return LocalLogs(StateDir(Path(locator["state"])))


TARGET: Final = LocalTarget()
