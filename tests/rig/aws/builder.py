"""`docker` as `make image` calls it: logs in with what ECR gave, and pushes what runs on the rig instead of a build.

What it is not called with today is refused, and so is a push without a login, or to a repository that is not there. The
test's process publishes the image, for the rig's registry lies there.
"""

from __future__ import annotations

import os
import sys
import threading
from multiprocessing.connection import Client, Listener
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from botocore.exceptions import ClientError

from tests.rig import contents
from tests.rig.aws.server import ACCOUNT

if TYPE_CHECKING:
    from tests.rig.aws.rig import AwsRig
    from tests.rig.contents import Contents

ADDRESS: Final = "RIG_BUILDER"
_KEY: Final = b"the rig's builder"
_FLAGS: Final = ("--provenance=false", "--push")
_NEEDED: Final = {"MLFLOW_VERSION", "TRACKING_HEAD", "AUTH_HEAD", "BASE_IMAGE", "RDS_CA_SHA256", "SOURCE_REVISION"}


class Builder:
    """The test's side: publishes what is pushed. `pushed` are the names."""

    def __init__(self, rig: AwsRig, image: Contents) -> None:
        """Listen on loopback; `image` is what every image holds."""
        self.pushed: list[str] = []
        self._rig, self._image, self._listener = rig, image, Listener(("127.0.0.1", 0), authkey=_KEY)
        self.address = f"127.0.0.1:{self._listener.address[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        """End it."""
        with Client(_place(self.address), authkey=_KEY) as connection:
            connection.send(None)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while True:
            with self._listener.accept() as connection:
                asked = connection.recv()
                if asked is None:
                    return
                connection.send(self._answer(asked))

    def _answer(self, asked: dict[str, Any]) -> str:
        """Return what went wrong, empty if nothing did."""
        ecr = self._rig.client("ecr")
        if "password" in asked:
            return "" if asked["password"] == f"{ACCOUNT}-auth-token" else "unauthorized"
        registry, _, path = asked["name"].partition("/")
        repository, _, tag = path.partition(":")
        try:
            ecr.describe_repositories(repositoryNames=[repository])
        except ClientError as error:
            return str(error)
        version = asked["arguments"]["MLFLOW_VERSION"]
        self._rig.images.publish(
            tag, self._image, labels=contents.labels(version), platforms=[asked["platform"]],
            index=False, repository=repository,
        )  # fmt: skip
        self.pushed.append(asked["name"])
        return "" if registry else "no registry"


def main(words: list[str]) -> int:
    """Do what docker would, as far as `make image` goes."""
    if words[:3] == ["login", "--username", "AWS"] and words[3] == "--password-stdin" and len(words) == 5:
        error = _asked({"password": sys.stdin.read()})
        if not error:
            Path(os.environ["RIG_LOGIN"]).write_text(words[4], encoding="utf-8")
    elif words == ["buildx", "version"]:
        error = ""
    elif words[:2] == ["buildx", "build"]:
        error = _build(words[2:])
    else:
        _refuse(words)
    if error:
        print(error, file=sys.stderr)
    return 1 if error else 0


def _build(words: list[str]) -> str:
    folder, rest = words[-1], words[:-1]
    platform, name = "", ""
    arguments = {}
    while rest:
        word = rest.pop(0)
        if word == "--platform":
            platform = rest.pop(0)
        elif word == "--tag":
            name = rest.pop(0)
        elif word.startswith("--build-arg="):
            key, _, value = word.removeprefix("--build-arg=").partition("=")
            arguments[key] = value
        elif word not in _FLAGS:
            _refuse(words)
    if not Path(folder, "Dockerfile").exists() or not set(arguments) >= _NEEDED or not all(arguments.values()):
        _refuse(words)
    login = Path(os.environ["RIG_LOGIN"])
    if not login.exists() or login.read_text(encoding="utf-8") != name.partition("/")[0]:
        return f"no basic auth credentials for {name}"
    return _asked({"name": name, "platform": platform, "arguments": arguments})


def _asked(what: dict[str, Any]) -> str:
    with Client(_place(os.environ[ADDRESS]), authkey=_KEY) as connection:
        connection.send(what)
        return str(connection.recv())


def _place(address: str) -> tuple[str, int]:
    host, _, port = address.partition(":")
    return host, int(port)


def _refuse(words: list[str]) -> NoReturn:
    print(f"docker: the rig knows no such call: {' '.join(words)}", file=sys.stderr)
    sys.exit(125)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
