"""Rules on container definitions of ECS. Pure: they take the definitions alone, wherever they come from."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_BY_DIGEST: Final = re.compile(r".+@sha256:[0-9a-f]{64}")

# A name that says that its value is a secret, and endings that say that it only names where one is, or how many.
_SECRET_NAME: Final = re.compile(
    r"(^|_)(PASSWORD|PASSWD|PGPASSWORD|SECRET|SECRETS|TOKEN|CREDENTIALS?|API_?KEY|ACCESS_KEY|PRIVATE_KEY|SECRET_KEY)(_|$)"
)
_NO_SECRET: Final = re.compile(r"_(FILE|PATH|ARN|NAME|TTL|MAX_SIZE|HEADER|PER_MINUTE|SECONDS)$")

_SECRET_VALUES: Final[Mapping[str, re.Pattern[str]]] = {
    "a URL with a password": re.compile(r"[a-z][a-z0-9+.-]*://[^/\s:@]*:[^/\s@]+@"),
    "an AWS access key": re.compile(r"\b(AKIA|ASIA)[A-Z0-9]{16}\b"),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
}


def without_digest(definitions: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Say which containers run an image that is not named by its digest."""
    for each in definitions:
        if not _BY_DIGEST.fullmatch(str(each.get("image", ""))):
            yield f"container {each.get('name')} names its image without a digest"


def plain_secrets(definitions: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Say which entries of the plain environment or the command hold a secret, or are called so. No value is shown."""
    for each in definitions:
        where = f"container {each.get('name')}"
        for entry in each.get("environment") or ():
            name, value = str(entry.get("name", "")), str(entry.get("value", ""))
            if value and _SECRET_NAME.search(name) and not _NO_SECRET.search(name):
                yield f"{where} has {name} in its plain environment"
            for what, pattern in _SECRET_VALUES.items():
                if pattern.search(value):
                    yield f"{where} has {what} in its plain environment, as {name}"
        words = " ".join(str(word) for key in ("command", "entryPoint") for word in each.get(key) or ())
        yield from (
            f"{where} has {what} in its command" for what, pattern in _SECRET_VALUES.items() if pattern.search(words)
        )
