"""The credentials of the probe: named by reference, resolved in memory only, never printed.

A reference is `file:PATH` (the first line of a file), `env:NAME`, or of a scheme that the target reads, such as
`secretsmanager:ARN#KEY`. References may be written into settings, Pulumi state and reports; values may not.
"""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_backend.contract import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Readers = Mapping[str, Callable[[str], tuple[str, str]]]
    """By scheme, what reads the rest of a reference: it gives the value, or an empty text, and what is wrong."""

KINDS: dict[str, tuple[str, ...]] = {
    "basic": ("username", "password"),
    "bearer": ("token",),
    "identity token": ("identityToken",),
    "API key": ("apiKey",),
}
"""What a kind of credential is made of: the keys of its references."""

GATE: tuple[str, ...] = ("gateToken", "gateHeader")
"""Beside any kind: a token for a check in front of the server, and the literal name of the header that it reads."""
DEFAULT_KEY_HEADER = "X-Api-Key"


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """Headers that authenticate the probe, with the values to keep out of every text.

    `gate` are those that get each request past a check in front of the server, also one without a login.
    """

    kind: str = "none"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    gate: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)


def resolve(references: Mapping[str, str], readers: Readers | None = None) -> Credentials:
    """Read the credentials that `references` name; none if it is empty.

    Known are {"username", "password"}, {"token"}, {"identityToken"}, and {"apiKey"} with "apiKeyHeader", the literal
    name of a header, beside it; beside each of them may be {"gateToken", "gateHeader"}.

    Raises `Refused` for an unknown set of keys or a reference that cannot be read.
    """
    if not references:
        return Credentials()
    if references.keys() >= set(GATE):
        rest = {key: each for key, each in references.items() if key not in GATE}
        found, token = resolve(rest, readers), read_reference("gateToken", references["gateToken"], readers)
        gate = {references["gateHeader"]: f"Bearer {token}"}
        return replace(found, gate=gate, secrets=(*found.secrets, token))
    keys = set(references) - {"apiKeyHeader"}
    kind = next((kind for kind, needed in KINDS.items() if keys == set(needed)), None)
    if kind is None:
        known = "; ".join(" + ".join(needed) for needed in KINDS.values())
        named = ", ".join(sorted(keys)) or "nothing"
        raise Refused(
            f"credentials: {named} is not a set of references known here. Name one of: {known}",
            code="credential-references-unknown",
        )
    values = {key: read_reference(key, references[key], readers) for key in KINDS[kind]}
    if kind == "basic":
        headers = basic_header(values["username"], values["password"])
        pair = headers["Authorization"].removeprefix("Basic ")
        return Credentials(kind=kind, headers=headers, secrets=(values["password"], pair))
    secret = next(iter(values.values()))
    if kind == "API key":
        return Credentials(
            kind=kind, headers={references.get("apiKeyHeader", DEFAULT_KEY_HEADER): secret}, secrets=(secret,)
        )
    return Credentials(kind=kind, headers={"Authorization": f"Bearer {secret}"}, secrets=(secret,))


def basic_header(username: str, password: str) -> dict[str, str]:
    """Return the header of HTTP's basic authentication."""
    return {"Authorization": f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode()}"}


def read_reference(key: str, reference: str, readers: Readers | None = None) -> str:
    """The value that a reference names; `key` is what it is for.

    Raises `Refused`.
    """
    scheme, _, name = reference.partition(":")
    if scheme == "env" and name:
        value = os.environ.get(name, "")
        problem = f"the environment variable {name} is not set"
    elif scheme == "file" and name:
        value, problem = _first_line(Path(name))
    elif readers and scheme in readers and "#" in name:
        value, problem = readers[scheme](name)
    else:
        # The text is not repeated: it may be the secret itself, put where its reference belongs.
        msg = f"credentials: {key} is not a reference. Write file:PATH or env:NAME"
        raise Refused(msg, code="credential-reference-malformed")
    if not value:
        msg = f"credentials: {key} cannot be read from {scheme}:{name}: {problem}"
        raise Refused(msg, code="credential-not-had")
    if not value.isprintable():
        msg = f"credentials: {key} from {scheme}:{name} holds characters that no HTTP header can carry. Write it anew"
        raise Refused(msg, code="credential-not-printable")
    return value


def _first_line(path: Path) -> tuple[str, str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        return "", error.strerror or type(error).__name__
    except UnicodeDecodeError:
        return "", "it is not text"
    return (lines[0].strip() if lines else ""), "it is empty"
