"""The language host under the real engine: what a Python program may rely on."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import textwrap
import time
from typing import TYPE_CHECKING

import grpc
import psutil
import pytest
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import language_pb2, language_pb2_grpc

from tests.tools.projects import ROOT
from tools.bootstrap import pins

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.tools.projects import Project

pytestmark = pytest.mark.engine


def poll(what: Callable[[], bool], *, deadline_s: float = 30) -> None:
    """Wait until `what` holds."""
    until = time.monotonic() + deadline_s
    while not what():
        assert time.monotonic() < until, "it did not come to hold in time"
        time.sleep(0.05)


def of_project(project: Project) -> list[psutil.Process]:
    """The processes that work on the project, by their working directory or arguments."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if str(project.folder) in f"{process.cwd()} {process.cmdline()}":
                found.append(process)
    return found


def test_config_and_its_secrets_reach_the_program(project: Project) -> None:
    """A secret is known as one: it is masked in the outputs and encrypted in the state."""
    project.must("config", "set", "plain", "seen")
    project.must("config", "set", "--secret", "password", "hush")
    project.program(
        """
        import pulumi
        config = pulumi.Config()
        pulumi.export("plain", config.require("plain"))
        pulumi.export("password", config.require_secret("password"))
        pulumi.export("where", [pulumi.get_organization(), pulumi.get_project(), pulumi.get_stack()])
        pulumi.export("root", pulumi.get_root_directory())
        """
    )
    said = project.must("up", "--yes")
    assert "hush" not in said
    assert "hush" not in project.must("stack", "export")
    outputs = json.loads(project.must("stack", "output", "--json", "--show-secrets"))
    assert outputs == {
        "plain": "seen",
        "password": "hush",
        "where": ["organization", "trial", "dev"],
        "root": str(project.folder),
    }


def test_the_program_can_ask_which_keys_are_secret(project: Project) -> None:
    """Settings hide a malformed secret by it."""
    project.must("config", "set", "plain", "seen")
    project.must("config", "set", "--secret", "password", "hush")
    project.program(
        """
        from pulumi.runtime.config import is_config_secret
        print("secret:", [key for key in ("plain", "password") if is_config_secret(f"trial:{key}")])
        """
    )
    assert "secret: ['password']" in project.must("preview")


def test_a_preview_is_a_dry_run(project: Project) -> None:
    """The program can tell a preview from an update, as the SDK promises."""
    project.program("import pulumi\nprint('dry' if pulumi.runtime.is_dry_run() else 'wet')")
    assert "dry" in project.must("preview")
    said = project.must("up", "--yes", "--skip-preview")
    assert "wet" in said
    assert "dry" not in said


def test_an_exception_fails_the_update_with_its_traceback(project: Project) -> None:
    """The user sees their own lines and the error once, and the command fails."""
    project.program(
        """
        import pulumi
        def broken():
            raise ValueError("no such thing")
        broken()
        """
    )
    code, said = project.run("up", "--yes", "--skip-preview")
    assert code != 0
    assert said.count("ValueError: no such thing") == 1
    assert "__main__.py" in said
    assert "tools/offline/language_host" not in said


def test_an_error_by_name_is_shown_without_a_traceback(project: Project) -> None:
    """`pulumi.RunError` is the SDK's way to refuse with a sentence."""
    project.program("import pulumi\nraise pulumi.RunError('refused, and why')")
    code, said = project.run("preview")
    assert code != 0
    assert "refused, and why" in said
    assert "Traceback" not in said


def test_a_program_that_exits_fails_the_update(project: Project) -> None:
    """An exit code is not lost: a half-run program must not count as a whole one."""
    project.program("import os\nos._exit(3)")
    code, said = project.run("preview")
    assert code != 0
    assert "the program ended with exit code 3" in said


def test_every_run_has_a_fresh_interpreter(project: Project) -> None:
    """Preview and update of one command share nothing: no module state, no process."""
    (project.folder / "counted.py").write_text("seen = []\n")
    project.program(
        """
        import os
        import counted
        counted.seen.append(1)
        print(f"runs {len(counted.seen)} pid {os.getpid()}")
        """
    )
    said = project.must("up", "--yes")
    runs = {line.split("runs ", 1)[1] for line in said.splitlines() if "runs " in line}
    assert len(runs) == 2, said
    assert all(run.startswith("1 ") for run in runs)


def test_the_projects_own_python_runs_the_program_and_its_providers(project: Project) -> None:
    """Not whatever `python3` is on PATH: it lacks the packages."""
    project.program(
        """
        import sys
        import pulumi
        from pulumi.dynamic import CreateResult, Resource, ResourceProvider
        class Provider(ResourceProvider):
            def create(self, props):
                import sys
                return CreateResult("made", {"prefix": sys.prefix})
        class Made(Resource):
            prefix: pulumi.Output[str]
            def __init__(self, name):
                super().__init__(Provider(), name, {"prefix": None})
        pulumi.export("program", sys.prefix)
        pulumi.export("provider", Made("made").prefix)
        """
    )
    project.must("up", "--yes")
    outputs = json.loads(project.must("stack", "output", "--json"))
    assert outputs == {"program": str(ROOT / ".venv"), "provider": str(ROOT / ".venv")}
    project.must("destroy", "--yes")


def test_a_missing_environment_is_named(project: Project) -> None:
    """The message says which folder, and what makes it."""
    project.options(virtualenv="gone")
    code, said = project.run("preview")
    assert code != 0
    assert "gone has no bin/python; run `make setup`" in said


def test_ctrl_c_ends_everything_quietly(project: Project) -> None:
    """Interrupted in the middle of the program, the command ends, and no process and no traceback is left."""
    started = project.folder / "started"
    project.program(f"import pathlib, time\npathlib.Path({str(started)!r}).touch()\ntime.sleep(600)")
    with project.start("preview") as process:
        poll(started.exists)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "Traceback" not in said
    assert "KeyboardInterrupt" not in said
    poll(lambda: of_project(project) == [])


@contextlib.contextmanager
def host_of(project: Project) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A host in a process group of its own, as the engine starts it, and its port."""
    host = subprocess.Popen(
        [str(project.programs / "pulumi-language-python"), "127.0.0.1:1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with host:
        try:
            assert host.stdout is not None
            yield host, int(host.stdout.readline())
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(host.pid, signal.SIGKILL)


def test_an_interrupted_group_ends_without_a_word(project: Project) -> None:
    """The engine interrupts the host's whole process group: neither the host nor what it runs answers a traceback."""
    project.program("import time\nprint('running', flush=True)\ntime.sleep(600)")
    request = language_pb2.RunPluginRequest(
        pwd=str(project.folder),
        env=[f"PATH={os.environ['PATH']}"],
        kind="resource",
        info=language_pb2.ProgramInfo(root_directory=str(project.folder), program_directory=str(project.folder)),
    )
    with host_of(project) as (host, port), grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        responses = language_pb2_grpc.LanguageRuntimeStub(channel).RunPlugin(request)
        shown = b""
        while shown != b"running\n":
            shown += next(responses).stdout
        os.killpg(host.pid, signal.SIGINT)
        said = b""
        with contextlib.suppress(grpc.RpcError):
            for response in responses:
                said += response.stdout + response.stderr
        assert (said, *host.communicate(timeout=30)) == (b"", "", "")
        assert host.returncode == 0
        poll(lambda: of_project(project) == [])


def test_a_program_that_does_not_want_to_end_is_ended(project: Project) -> None:
    """A program that ignores SIGTERM does not keep the host, and with it the user's command, waiting."""
    stubborn = project.folder / "env" / "bin" / "python"
    stubborn.parent.mkdir(parents=True)
    stubborn.write_text(f"#!/bin/sh\ntrap '' TERM\ntouch {project.folder}/started\nwhile :; do sleep 0.1; done\n")
    stubborn.chmod(0o755)
    options = Struct()
    options.update({"virtualenv": "env"})
    info = language_pb2.ProgramInfo(root_directory=str(project.folder), options=options)
    with host_of(project) as (host, port), grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        run = language_pb2_grpc.LanguageRuntimeStub(channel).Run.future(
            language_pb2.RunRequest(pwd=str(project.folder), info=info)
        )
        poll((project.folder / "started").exists)
        host.send_signal(signal.SIGTERM)
        assert host.communicate(timeout=30) == ("", "")
        assert host.returncode == 0
        # The stub's type of what a call returns lacks what grpc's own has.
        assert run.exception(timeout=30) is not None or run.result().error  # type: ignore[call-arg]
    poll(lambda: of_project(project) == [])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_host_ends_on_a_signal_and_says_nothing(project: Project, number: signal.Signals) -> None:
    """Exit code 0 and no output but its port: the engine shows a plugin's last words to the user."""
    with host_of(project) as (host, port):
        assert port > 0
        host.send_signal(number)
        rest, complaint = host.communicate(timeout=30)
    assert (host.returncode, rest, complaint) == (0, "", "")


def test_a_killed_engine_leaves_no_host_and_no_program(project: Project) -> None:
    """Killed for want of memory, it signals nobody: what it started ends by itself."""
    started = project.folder / "started"
    project.program(f"import pathlib, time\npathlib.Path({str(started)!r}).touch()\ntime.sleep(600)")
    with project.start("preview") as process:
        poll(started.exists)
        assert len(of_project(project)) > 1
        process.kill()
        process.wait(timeout=30)
    try:
        poll(lambda: of_project(project) == [])
    finally:
        for left in of_project(project):
            left.kill()


SIGNALLED_AT_ONCE = """
import os, signal, time
from tools.offline.language_host import server

ready, told = os.pipe()
hung = 0
for _ in range(600):
    child = os.fork()
    if not child:
        stopped = server._asked_to_stop()
        os.write(told, b".")
        os.read(stopped, 1)
        os._exit(0)
    os.read(ready, 1)
    os.kill(child, signal.SIGTERM)
    until = time.monotonic() + 10
    while (ended := os.waitpid(child, os.WNOHANG)[0]) == 0 and time.monotonic() < until:
        time.sleep(0.0005)
    if not ended:
        hung += 1
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        break
print(hung)
"""


def test_a_signal_is_not_lost_while_the_host_goes_to_sleep() -> None:
    """One that comes between the last instruction and the waiting call; an Event misses one in a hundred of those."""
    done = subprocess.run(
        [str(ROOT / ".venv" / "bin" / "python"), "-c", SIGNALLED_AT_ONCE],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")


def pack(folder: Path, enforcement: str) -> Path:
    """A policy pack that allows no dynamic resource in the stack dev."""
    folder.mkdir()
    (folder / "PulumiPolicy.yaml").write_text(
        f"version: 0.0.1\nruntime:\n  name: python\n  options:\n    virtualenv: {ROOT / '.venv'}\n"
    )
    (folder / "__main__.py").write_text(
        textwrap.dedent(
            f"""
            import pulumi
            from pulumi_policy import EnforcementLevel, PolicyPack, ResourceValidationPolicy

            def judge(args, report):
                if args.resource_type.startswith("pulumi-python:") and pulumi.get_stack() == "dev":
                    report(f"not in {{pulumi.get_project()}}/{{pulumi.get_stack()}}")

            rule = ResourceValidationPolicy(name="none-dynamic", description="no dynamic resource", validate=judge)
            PolicyPack("trial", enforcement_level=EnforcementLevel.{enforcement}, policies=[rule])
            """
        )
    )
    return folder


DYNAMIC = """
import pulumi
from pulumi.dynamic import CreateResult, Resource, ResourceProvider
class Provider(ResourceProvider):
    def create(self, props):
        return CreateResult("made", {})
class Made(Resource):
    def __init__(self, name):
        super().__init__(Provider(), name, {})
Made("made")
"""


def test_a_mandatory_policy_refuses_the_preview(project: Project, tmp_path: Path) -> None:
    """The pack checks, knows which stack it checks, and its refusal fails the command."""
    project.program(DYNAMIC)
    code, said = project.run("preview", "--policy-pack", str(pack(tmp_path / "pack", "MANDATORY")))
    assert code != 0
    assert "none-dynamic" in said
    assert "not in trial/dev" in said
    poll(lambda: of_project(project) == [])


def test_a_program_that_keeps_the_policy_passes(project: Project, tmp_path: Path) -> None:
    """The same pack lets a clean program through."""
    said = project.must("preview", "--policy-pack", str(pack(tmp_path / "pack", "MANDATORY")))
    assert "trial@v0.0.1" in said


def test_a_broken_policy_pack_fails_the_preview(project: Project, tmp_path: Path) -> None:
    """A pack that does not run must not count as one that found nothing; its own error is shown."""
    broken = pack(tmp_path / "pack", "MANDATORY")
    (broken / "__main__.py").write_text("import nothing_of_that_name\n")
    code, said = project.run("preview", "--policy-pack", str(broken))
    assert code != 0
    assert "nothing_of_that_name" in said


def test_pulumi_about_knows_the_interpreter(project: Project) -> None:
    """`pulumi about` is what a bug report is made of."""
    about = json.loads(project.must("about", "--json"))
    assert about["runtime"]["language"] == "python"
    assert {"name": "pulumi", "version": pins.SDK} in about["dependencies"]
