"""Preview an update of one stack and report it: changes, release, migration, policies, preflight, drift, quantities.

The real `pulumi preview` runs under the policy pack; what it says becomes one report, on the terminal, as Markdown for
a pull request and as JSON. A stack that would be refused by its file alone is refused before Pulumi is started.

Exit codes: 0 previewed; 2 usage or settings; 3 refused by the program, preflight or a policy; 4 Pulumi failed; 6 there
are changes, with --detailed-exit-code.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from mlflow_backend import ending, targets
from mlflow_backend.commands import policing, running
from mlflow_backend.contract import ExitCode, PlatformFailed, Refused
from mlflow_backend.policy import rendered
from mlflow_backend.policy.catalogue import POLICIES
from mlflow_backend.releases.targets import LIVE
from mlflow_backend.report import document, events, markdown, text
from mlflow_backend.report.build import PreviewInputs, build
from mlflow_backend.report.policies import EnforcedPolicy, RenderedParts
from mlflow_backend.report.redaction import redactor
from mlflow_backend.settings import YamlSource, load
from mlflow_backend.settings.problems import NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mlflow_backend.ending import Ending
    from mlflow_backend.report.events import Stream
    from mlflow_backend.report.model import Report
    from mlflow_backend.settings import PolicyLevel, Settings

PROJECT = "mlflow-backend"
DEADLINE_S = 900
INTERRUPT_S = 30
CONFIG_DEADLINE_S = 60
_PREFIX = f"{NAMESPACE}:"
_LAST_WORDS = 4000


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A stack's settings as its file gives them; `secrets` are the values that were given with --secret."""

    name: str
    settings: Settings
    secrets: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Values:
    """Settings by key, as raw text: what `settings.load` reads."""

    texts: Mapping[str, str]

    def keys(self) -> Iterable[str]:
        """Return the keys that are set."""
        return sorted(self.texts)

    def get(self, key: str) -> str | None:
        """Return the raw text of `key`."""
        return self.texts.get(key)


@dataclass(frozen=True, kw_only=True)
class Ran:
    """How `pulumi preview` ended: its code, its stream, the program's own verdict, and what it printed."""

    code: int
    stream: Stream
    ending: Ending | None
    printed: str


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns an exit code of `contract.ExitCode`."""
    options = command_line().parse_args(arguments)
    try:
        stack = read_stack(Path(f"Pulumi.{options.stack}.yaml"), options.stack)
        ran = run(stack, refresh=options.refresh, live=options.live)
    except (Refused, PlatformFailed) as error:
        print(error, file=sys.stderr)
        return error.exit_code
    clean = redactor(settings=stack.secrets, environment=os.environ)
    if ran.ending is not None and ran.ending.exit_code is ExitCode.USAGE:
        print(clean.text(ran.ending.sentence), file=sys.stderr)
        return ExitCode.USAGE
    report = clean.value(build(ran.stream, asked(stack, ran, refreshed=options.refresh)))
    code = report.exit_code(detailed=options.detailed_exit_code)
    show(report, code, options)
    return code


def command_line() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = argparse.ArgumentParser(prog="scripts/preview.py", description=__doc__)
    parser.add_argument("--stack", required=True, help="the stack: Pulumi.<stack>.yaml holds its settings")
    parser.add_argument("--json", action="store_true", help="print the report as JSON, alone, instead of as tables")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the report for a pull request to FILE")
    parser.add_argument("--detailed-exit-code", action="store_true", help="end with 6 if there are changes")
    parser.add_argument("--refresh", action="store_true", help="compare the state with what is there, and show drift")
    parser.add_argument(
        "--live", action="store_true", help="ask the database itself for its schema, by a one-shot task"
    )
    return parser


def read_stack(stack_file: Path, name: str) -> Stack:
    """Return a stack's settings. Where entries are encrypted, Pulumi is asked for them, as the program would be.

    Raises Refused for what the settings alone show.
    """
    source = YamlSource.read(stack_file)
    secrets: tuple[str, ...] = ()
    if source.unreadable:
        found = _configuration(name)
        own = {key.removeprefix(_PREFIX): each for key, each in found.items() if key.startswith(_PREFIX)}
        secrets = tuple(str(each["value"]) for each in found.values() if each.get("secret"))
        settings = load(Values(texts={key: str(each["value"]) for key, each in own.items()}))
    else:
        settings = load(source)
    return Stack(name=name, settings=settings, secrets=secrets)


def run(stack: Stack, *, refresh: bool, live: bool) -> Ran:
    """Run `pulumi preview` under the policy pack, at the stack's levels. Raises PulumiMissing."""
    # Only this user may look into it: the stream holds settings and the names of everything.
    with tempfile.TemporaryDirectory(prefix="mlflow-backend-") as scratch:
        folder = Path(scratch)
        log, note = folder / "events.jsonl", folder / "ending.json"
        command = (
            *("pulumi", "preview", "--stack", stack.name, "--non-interactive", "--color", "never"),
            *("--event-log", str(log), *policing.options(stack.settings.policy.levels, folder)),
            *(("--refresh",) if refresh else ()),
        )
        # The event log is Pulumi's interface for its Automation API, which asks for it in the same way.
        environment = {**os.environ, "PULUMI_DEBUG_COMMANDS": "true", ending.VARIABLE: str(note)}
        if live:
            environment[LIVE] = "1"
        with (folder / "printed").open("w+b") as printed:
            code = running.wait(
                _started(command, environment, printed.fileno()),
                "`pulumi preview`",
                deadline_s=DEADLINE_S,
                interrupt_s=INTERRUPT_S,
            )
            printed.seek(0)
            said = printed.read().decode(errors="replace")
        lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        return Ran(code=code, stream=events.read(lines), ending=ending.read(note), printed=said)


def asked(stack: Stack, ran: Ran, *, refreshed: bool) -> PreviewInputs:
    """Return what is known besides the stream: the policies in force, what is rendered, and how Pulumi ended."""
    parts = _rendered(stack, ran.stream)
    pin = stack.settings.release.pin
    return PreviewInputs(
        stack=stack.name,
        created_at=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        code=ran.code,
        refreshed=refreshed,
        ending=ran.ending,
        policies=levels(stack.settings),
        rendered=rendered.evaluate(parts),
        billing=targets.get(stack.settings.target).billing(),
        rendered_inputs=parts.inputs,
        pin=f"the settings ask for revision {pin} (release.pin)" if pin else "",
        printed=_with_help(ran.printed, stack.name),
    )


def levels(settings: Settings) -> tuple[EnforcedPolicy, ...]:
    """Return every policy at the level that the stack has chosen."""
    chosen: dict[str, PolicyLevel] = {str(name): level for name, level in settings.policy.levels.items()}
    return tuple(
        EnforcedPolicy(name=each.name, level=chosen.get(each.name, each.level), remediation=each.remediation)
        for each in POLICIES
    )


def show(report: Report, code: int, options: argparse.Namespace) -> None:
    """Give the report out in the forms that were asked for."""
    if options.markdown:
        options.markdown.write_text(markdown.text(report), encoding="utf-8")
    if options.json:
        sys.stdout.write(document.text(report, exit_code=code))
    else:
        text.show(report, Console(highlight=False, emoji=False))


def _rendered(stack: Stack, stream: Stream) -> RenderedParts:
    """Return what the target renders from the settings: the engine's copy is unknown at a first preview."""
    image, target = rendered.pinned(stream), targets.get(stack.settings.target)
    try:
        return target.rendered(stack.settings, project=PROJECT, stack=stack.name, image=image)
    except (Refused, ValueError):
        # The program refuses the same settings, and says why.
        return RenderedParts()


def _with_help(printed: str, stack: str) -> str:
    """Return what Pulumi printed, and what to do if it does not know the stack: a newcomer's first preview."""
    if f"no stack named '{stack}' found" not in printed:
        return printed
    help_ = f"`make preview STACK={stack}` makes it in this clone's own state; a team's: docs/runbooks/workflows.md."
    return f"{printed.strip()}. {help_}"


def _configuration(stack: str) -> dict[str, dict[str, object]]:
    """Return the stack's configuration decrypted, as the engine would hand it to the program."""
    command = ("pulumi", "config", "--stack", stack, "--show-secrets", "--json", "--non-interactive")
    try:
        done = subprocess.run(command, capture_output=True, timeout=CONFIG_DEADLINE_S, check=False)
    except FileNotFoundError:
        raise _missing() from None
    except subprocess.TimeoutExpired:
        raise _unreadable(stack, f"`pulumi config` had not ended after {CONFIG_DEADLINE_S} s") from None
    if done.returncode != 0:
        raise _unreadable(stack, done.stderr.decode(errors="replace").strip()[-_LAST_WORDS:])
    return dict(json.loads(done.stdout))


def _unreadable(stack: str, why: str) -> PlatformFailed:
    fix = "Log in where the stack is, with access to what encrypts its secrets."
    return PlatformFailed(
        f"The encrypted settings of stack {stack} cannot be read: {why}.", code="secrets-unreadable", fix=fix
    )


def _missing() -> PlatformFailed:
    return PlatformFailed(
        "pulumi is not on PATH.", code="pulumi-missing", fix="Run `make preview STACK=...`, which brings it."
    )


def _started(command: Sequence[str], environment: Mapping[str, str], printed: int) -> subprocess.Popen[bytes]:
    try:
        return running.start(command, env=dict(environment), stdin=subprocess.DEVNULL, stdout=printed, stderr=printed)
    except FileNotFoundError:
        raise _missing() from None


if __name__ == "__main__":
    sys.exit(main())
