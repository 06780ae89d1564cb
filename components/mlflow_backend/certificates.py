"""The certificate authorities by which uv trusts a package index: those that pip trusts on this machine.

uv knows only the public ones, and two variables. A machine behind a proxy that opens TLS is often made ready for its
system and for pip alone. Only the standard library is used: the set-up asks this before anything is installed.
"""

from __future__ import annotations

import configparser
import ssl
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FILE, SYSTEM = "SSL_CERT_FILE", "UV_SYSTEM_CERTS"
_CHOSEN = (FILE, "SSL_CERT_DIR", SYSTEM, "UV_NATIVE_TLS")


def for_uv(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment in which to run uv; one that chooses its authorities already is left as it is."""
    if any(environment.get(name) for name in _CHOSEN):
        return dict(environment)
    for file in _named_for_pip(environment):
        if Path(file).is_file():
            return {**environment, FILE: file}
    known = ssl.get_default_verify_paths()
    # Without a store of the system, uv's own authorities are all that there is.
    return {**environment, SYSTEM: "true"} if known.cafile else dict(environment)


def _named_for_pip(environment: Mapping[str, str]) -> Iterator[str]:
    """Yield the files of authorities that pip's configuration names, by precedence."""
    yield environment.get("PIP_CERT", "")
    for path in _configurations(environment):
        read = configparser.RawConfigParser()
        try:
            read.read(path, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError, OSError):
            # pip itself says what is wrong with it.
            continue
        for section in ("install", "global"):
            yield read.get(section, "cert", fallback="")
    yield environment.get("REQUESTS_CA_BUNDLE", "")
    yield environment.get("CURL_CA_BUNDLE", "")


def _configurations(environment: Mapping[str, str]) -> Iterator[Path]:
    """Yield the paths of pip's configuration, by precedence (pip's manual, 'Configuration', Location)."""
    if named := environment.get("PIP_CONFIG_FILE"):
        yield Path(named)
    yield Path(sys.prefix, "pip.conf")
    if home := environment.get("HOME"):
        yield Path(environment.get("XDG_CONFIG_HOME") or Path(home, ".config"), "pip", "pip.conf")
        yield Path(home, "Library", "Application Support", "pip", "pip.conf")
        yield Path(home, ".pip", "pip.conf")
    for folder in (environment.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":"):
        yield Path(folder, "pip", "pip.conf")
    yield Path("/etc/pip.conf")
