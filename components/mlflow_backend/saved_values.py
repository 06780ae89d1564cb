"""Values that one of the user's checks saves and later ones write as `${NAME}`: which are used, and putting them in."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_USE: Final = re.compile(r"\$\{([A-Za-z][A-Za-z0-9_]*)\}")


def used_in(*texts: str) -> frozenset[str]:
    """The names that texts use."""
    return frozenset(name for text in texts for name in _USE.findall(text))


def filled(text: str, saved: Mapping[str, str], written: Callable[[str], str] = str) -> str:
    """A text with its values in it, each as `written` writes it. Raises KeyError for one that is not saved."""
    return _USE.sub(lambda found: written(saved[found[1]]), text)
