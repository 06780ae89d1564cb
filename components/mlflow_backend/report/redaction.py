"""The redaction of a report: each of its texts passes through here, so that no secret leaves. Pure.

The engine masks what it knows to be secret, and reports hold names of properties, never values. What is left are
messages, whose words are others': so each secret of the stack's settings, and of this process's environment, is taken
out of every text wherever it stands.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import quote

from mlflow_backend.report.model import Operation, Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MASK: Final = "[secret]"

# Shorter ones are words that anything may hold, such as `true` or a port; the engine's own filter stops at 3.
_SHORTEST: Final = 6
_SECRET_NAME: Final = re.compile(r"PASSWORD|PASSPHRASE|SECRET|TOKEN|CREDENTIAL|_KEY$")

OWN_WORDS: Final = frozenset({*Operation, *Outcome, *Verdict, "unchanged", "mandatory", "advisory", "disabled"})

Kept = TypeVar("Kept")


@dataclass(frozen=True, kw_only=True)
class Redactor:
    """Takes secrets out of texts."""

    secrets: tuple[str, ...] = ()

    def text(self, text: str) -> str:
        """Return `text` without any secret."""
        for secret in self.secrets:
            text = text.replace(secret, MASK)
        return text

    def value(self, value: Kept) -> Kept:
        """Return a value with every text in it clean: dataclasses, mappings, tuples and texts."""
        return self._clean(value)  # type: ignore[no-any-return] # it has the type that it was given

    def _clean(self, value: Any) -> Any:
        if isinstance(value, str) and not isinstance(value, Enum):
            return self.text(value)
        if is_dataclass(value) and not isinstance(value, type):
            return replace(value, **{each.name: self._clean(getattr(value, each.name)) for each in fields(value)})
        if isinstance(value, Mapping):
            return {self.text(str(key)): self._clean(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return tuple(self._clean(item) for item in value)
        return value


def redactor(*, settings: Iterable[str], environment: Mapping[str, str]) -> Redactor:
    """Return what takes out the secret `settings` (texts, JSON if they are sections) and the environment's secrets.

    A secret is also looked for as it stands in JSON, in a URL and in base64. The report's own words are none, though a
    secret section may hold them: `mode: create` would take the word out of every line.
    """
    plain = {leaf for text in settings for leaf in _leaves(text)}
    plain |= {value for name, value in environment.items() if _SECRET_NAME.search(name.upper())}
    plain -= OWN_WORDS
    found = {form for secret in plain if len(secret) >= _SHORTEST for form in _forms(secret)}
    return Redactor(secrets=tuple(sorted(found, key=lambda each: (-len(each), each))))


def _leaves(text: str) -> Iterator[str]:
    try:
        yield from _texts(json.loads(text))
    except ValueError:
        yield text


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, str):
        yield value
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def _forms(secret: str) -> Iterator[str]:
    yield secret
    yield json.dumps(secret)[1:-1]
    yield quote(secret, safe="")
    yield base64.b64encode(secret.encode()).decode()
