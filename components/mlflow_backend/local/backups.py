"""The source of a local stack's backups: the files of its artifact store, and its secrets."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from mlflow_backend.backup import bundle, sealing
from mlflow_backend.backup import source as sources
from mlflow_backend.backup.artifacts import StoredFile
from mlflow_backend.backup.destination import FolderDestination
from mlflow_backend.contract import PlatformFailed
from mlflow_backend.deployed import DeployedBackend
from mlflow_backend.identity import OBJECT
from mlflow_backend.local import credentials, encryption, ports, schema, store
from mlflow_backend.local.naming import ARTIFACT_ROOT
from mlflow_backend.local.platform import LocalPlatform, Runner
from mlflow_backend.local.state import write
from mlflow_backend.migrate.tool import DatabaseTool
from mlflow_backend.server import keys
from mlflow_backend.verify.tracking import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from mlflow_backend.local.state import StateDir

KEY: Final = "backup-key"
_PIECE_BYTES = 1 << 20
# What users and their data know a backend by. Passwords between its own parts are each stack's own.
_SECRETS = (credentials.ADMIN, credentials.API_KEYS, credentials.FLASK, bundle.FILE)
_API_KEY = "api-key"


def source_of(state: StateDir, *, settings: bytes = b"", users: bool = False) -> sources.DeployedSource:
    """Return the backend in a folder as backups see it.

    `users` says that the users' database is restored although it has no schema yet.
    """
    return sources.source_of(
        DeployedBackend(LocalPlatform(state)),
        tool=lambda version: DatabaseTool(Runner(state, version, users=users)),
        artifacts=LocalArtifacts(state),
        vault=LocalVault(state),
        own=FolderDestination(state.backend_store),
        stack=state.path.name,
        settings=settings,
        used=partial(schema.users_rows, state, PREFIX),
    )


@dataclass(frozen=True)
class LocalArtifacts:
    """The artifacts of one stack (backup.source.Artifacts).

    They are read as the files that the S3 server keeps them in, because a listing by S3 reads each file for its ETag.
    They are written through the S3 server, which does not see a file that is made behind its back for minutes.
    """

    state: StateDir

    @property
    def _root(self) -> Path:
        return self.state.store / ARTIFACT_ROOT.removeprefix("s3://")

    def listing(self) -> Iterator[StoredFile]:
        """Give every file but the store's identity."""
        for path in self._root.rglob("*"):
            name = path.relative_to(self._root).as_posix()
            if name != OBJECT and path.is_file():
                found = path.stat()
                yield StoredFile(path=name, size_bytes=found.st_size, stamp=str(found.st_mtime_ns))

    def reading(self, path: str) -> Iterator[bytes]:
        """Read the file."""
        try:
            with (self._root / path).open("rb") as stream:
                while piece := stream.read(_PIECE_BYTES):
                    yield piece
        except FileNotFoundError:
            raise
        except OSError as error:
            raise PlatformFailed(
                error.strerror or "cannot be read",
                code="artifact-unreadable",
                fix="Make it readable for this user, and repeat",
                part=path,
            ) from None

    def create(self, path: str, pieces: Iterator[bytes], *, size_bytes: int) -> None:
        """Upload the file as the operator."""
        store.Store(self.state, ports.known(self.state)["store"]).put(path, pieces, size_bytes=size_bytes)


@dataclass(frozen=True)
class LocalVault:
    """The secrets of one stack (backup.source.Vault)."""

    state: StateDir

    def public_key(self) -> str:
        """Return the public half of the key in its file."""
        return sealing.public_key(self.private_key())

    def private_key(self) -> str:
        """Return the key in its file, which is made when it is first asked for."""
        with self.state.locked("credentials"):
            path = self.state.credentials / KEY
            if not path.exists():
                write(path, sealing.new_key())
        return credentials.read(self.state, KEY)

    def read(self) -> Mapping[str, str]:
        """Return the files' contents by name."""
        folder = self.state.credentials
        api_keys = sorted(path.name for path in folder.glob(f"{_API_KEY}*"))
        names = dict.fromkeys((*_SECRETS, *api_keys))
        return {name: credentials.read(self.state, name) for name in names if (folder / name).exists()}

    def take_over(self, secrets: Mapping[str, str], *, label: str) -> None:
        """Write the files; those that were there are copied first."""
        with self.state.locked("credentials"):
            aside = self._aside(label)
            if not aside.exists():
                unfinished = aside.with_name(f".{aside.name}")
                shutil.rmtree(unfinished, ignore_errors=True)
                shutil.copytree(self.state.credentials, unfinished)
                unfinished.rename(aside)
            self._write(named_here(secrets))

    def put_back(self, label: str) -> None:
        """Write the files that were copied, and forget the copy."""
        aside = self._aside(label)
        if not aside.exists():
            return
        with self.state.locked("credentials"):
            former = {path.name: path.read_text(encoding="utf-8").rstrip("\n") for path in aside.iterdir()}
            self._write({name: text for name, text in former.items() if _is_taken_over(name)})
            shutil.rmtree(aside)

    def _write(self, secrets: Mapping[str, str]) -> None:
        for name, text in secrets.items():
            if not _is_taken_over(name) or "/" in name:
                raise PlatformFailed(
                    f"{name} is no secret of a backend", code="backup-secret-unknown", fix="Restore another backup"
                )
            if name == bundle.FILE:
                encryption.replace(self.state, text)
            else:
                write(self.state.credentials / name, text)

    def _aside(self, label: str) -> Path:
        return self.state.path / f"credentials.before-{label}"


def named_here(secrets: Mapping[str, str]) -> dict[str, str]:
    """Return a backup's secrets under this target's names: in a cluster each key at rest is a secret by itself.

    Raises PlatformFailed for an administrator of another name than the one that this target has.
    """
    if keys.WEBHOOK not in secrets:
        return dict(secrets)
    if secrets[credentials.ADMIN_USER] != credentials.ADMIN_NAME:
        raise PlatformFailed(
            f"its administrator is not called {credentials.ADMIN_NAME}, as here",
            code="backup-of-other-administrator",
            fix="Restore it onto the target that it was taken of",
        )
    found = {name: secrets[name] for name in (credentials.ADMIN, credentials.FLASK)}
    if bundle.API_KEYS in secrets:
        found[credentials.API_KEYS] = bundle.users_api_keys(secrets)
    return {**found, bundle.FILE: encryption.content(secrets)}


def _is_taken_over(name: str) -> bool:
    return name in _SECRETS or name.startswith(_API_KEY)
