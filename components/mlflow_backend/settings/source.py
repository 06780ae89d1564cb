"""Sources of the settings' text: Pulumi's configuration, or a stack's YAML file read without Pulumi.

Values are read as raw text. `pulumi.Config`'s typed getters are not used: its ConfigTypeError prints the value, a
secret's too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import yaml

from mlflow_backend.settings.problems import NAMESPACE, Problem, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import pulumi


class ConfigSource(Protocol):
    """Top-level settings as raw text: plain text for a scalar, JSON for anything else."""

    def keys(self) -> Iterable[str]:
        """Return the keys that are set, without namespace."""

    def get(self, key: str) -> str | None:
        """Return the raw text of `key`; None when it is not set."""


@dataclass(frozen=True, kw_only=True)
class PulumiSource:
    """The configuration that the Pulumi engine handed to the running program."""

    config: pulumi.Config

    def keys(self) -> Iterable[str]:
        """Return the keys of this namespace; no public function of Pulumi's does, so the map behind it is asked."""
        from pulumi.runtime.config import CONFIG, get_config_env  # noqa: PLC0415 - pulumi only if it runs

        prefix = f"{self.config.name}:"
        return sorted(key.removeprefix(prefix) for key in {*CONFIG.get(), *get_config_env()} if key.startswith(prefix))

    def get(self, key: str) -> str | None:
        """Return the raw text of `key`, decrypted by the engine if it is a secret."""
        return self.config.get(key)


@dataclass(frozen=True, kw_only=True)
class YamlSource:
    """A `Pulumi.<stack>.yaml` read directly. Encrypted entries cannot be read: `unreadable` names them."""

    values: Mapping[str, object]
    unreadable: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> YamlSource:
        """Return the settings of the stack file at `path`. Raises SettingsError when it is missing or not YAML."""
        try:
            document = yaml.safe_load(path.read_text(encoding="utf-8"))
        except OSError as error:
            finding = f"{path.name} cannot be read ({error.strerror})"
            raise SettingsError([_file_problem(finding, "Name a stack that has a settings file.")]) from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            # The parser's own message quotes the line, which may hold a secret.
            mark = getattr(error, "problem_mark", None)
            place = "" if mark is None else f" (line {mark.line + 1})"
            raise SettingsError([_file_problem(f"{path.name} is not YAML{place}", "Correct its syntax.")]) from None
        config = document.get("config") if isinstance(document, Mapping) else None
        prefix = f"{NAMESPACE}:"
        found = config.items() if isinstance(config, Mapping) else ()
        own = {str(k).removeprefix(prefix): value for k, value in found if str(k).startswith(prefix)}
        unreadable = tuple(sorted(key for key, value in own.items() if _holds_ciphertext(value)))
        return cls(values={k: value for k, value in own.items() if k not in unreadable}, unreadable=unreadable)

    def keys(self) -> Iterable[str]:
        """Return the keys that are set and readable."""
        return sorted(self.values)

    def get(self, key: str) -> str | None:
        """Return the raw text of `key`, spelt as the Pulumi engine would hand it over."""
        value = self.values.get(key)
        if value is None or isinstance(value, str):
            return value
        return json.dumps(value, default=str)


def _holds_ciphertext(value: object) -> bool:
    if isinstance(value, Mapping):
        return set(value) == {"secure"} or any(_holds_ciphertext(child) for child in value.values())
    return isinstance(value, list) and any(_holds_ciphertext(child) for child in value)


def _file_problem(finding: str, fix: str) -> Problem:
    return Problem(path="", finding=finding, rule="settings are read from Pulumi.<stack>.yaml", fix=fix)
