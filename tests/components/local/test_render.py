"""The configuration of supervisord, the proxy and the launcher."""

from __future__ import annotations

import configparser
import json
from dataclasses import replace
from pathlib import Path

import pytest

from mlflow_backend.codec import from_document
from mlflow_backend.local import render
from mlflow_backend.local.render import Program
from mlflow_backend.server import SecretTemplate

PROGRAM = Program(
    name="cache",
    argv=("/bin/cache", "--flag", "100%"),
    prefix=("setpriv", "--"),
    environment={"A": "b"},
    secret_environment={"PASSWORD": SecretTemplate(text="redis://:{cache-password}@h", encode=True)},
    secret_versions={"cache-password": "v1"},
    tree=True,
    stop_signal="INT",
    stop_timeout_s=30,
)


def parsed(text: str) -> configparser.RawConfigParser:
    """Read a configuration as supervisord does: an INI file whose percent signs are doubled."""
    parser = configparser.RawConfigParser()
    parser.read_string(text)
    return parser


def test_a_program_survives_its_manifest() -> None:
    """What the launcher reads is what the provider meant, secrets as references."""
    assert from_document(Program, json.loads(json.dumps(PROGRAM.manifest()))) == PROGRAM


@pytest.mark.parametrize(
    "change",
    [
        {"argv": ("/bin/cache",)},
        {"prefix": ()},
        {"environment": {"A": "c"}},
        {"secret_environment": {}},
        {"secret_versions": {"cache-password": "v2"}},
        {"stop_timeout_s": 31},
        {"tree": False},
    ],
)
def test_any_change_of_a_program_changes_its_command(change: dict[str, object]) -> None:
    """Supervisord restarts what has another command: the digest in it makes each change one."""

    def command(program: Program) -> str:
        text = render.section(program, launcher=("python", "-m", "launch"), directory=Path("/p"), log=Path("/l"))
        return parsed(text)["program:cache"]["command"]

    changed = replace(PROGRAM, **change)  # type: ignore[arg-type]
    assert command(changed) != command(PROGRAM)
    assert command(PROGRAM) == command(replace(PROGRAM))


def test_a_section_keeps_logs_bounded_and_ends_what_does_not_end() -> None:
    """Logs rotate, the stop signal and its patience are the program's, and the group is killed after it."""
    text = render.section(PROGRAM, launcher=("py%thon",), directory=Path("/a%b"), log=Path("/l"))
    section = parsed(text)["program:cache"]
    assert section["stdout_logfile_maxbytes"] == "10MB"
    assert section["stdout_logfile_backups"] == "3"
    assert (section["stopsignal"], section["stopwaitsecs"], section["killasgroup"]) == ("INT", "30", "true")
    assert section["autorestart"] == "true"
    assert section["directory"] == "/a%%b"
    assert '"py%%thon"' in section["command"]


def test_the_daemon_listens_on_loopback_with_a_password_and_includes_its_programs() -> None:
    """Another user of the machine cannot command the stack's processes."""
    text = render.supervisord(folder=Path("/s"), port=1234, password="word", user="me", marker={"M": "v"})
    found = parsed(text)
    assert found["inet_http_server"]["port"] == "127.0.0.1:1234"
    assert found["inet_http_server"]["password"] == "word"
    # Beside the file: supervisord takes a space in a path for the end of it.
    assert found["include"]["files"] == "programs/*.conf"
    assert found["supervisord"]["environment"] == 'M="v"'


def test_the_proxy_listens_on_loopback_and_reads_each_upstream_from_a_file() -> None:
    """The switch is a replaced file: the proxy has no admin interface, and keeps no connection to an old server."""
    document = render.proxy({5000: Path("/state/active"), 5001: Path("/state/candidate")})
    assert document["admin"]["disabled"] is True
    for name, port in (("active", 5000), ("candidate", 5001)):
        server = document["apps"]["http"]["servers"][name]
        assert server["listen"] == [f"127.0.0.1:{port}"]
        (handler,) = server["routes"][0]["handle"]
        assert handler["upstreams"] == [{"dial": f"{{file./state/{name}}}"}]
        assert handler["transport"]["keep_alive"] == {"enabled": False}
