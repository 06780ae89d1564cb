"""The base of dynamic resources that are made, looked at and deleted by the functions of a module. Thin."""

from __future__ import annotations

import importlib
from typing import Any, ClassVar

from pulumi.dynamic import CreateResult, DiffResult, ReadResult, UpdateResult

from mlflow_backend.dynamic import Provider, is_unknown


class ModuleProvider(Provider):
    """What `module` knows: secret values, so that they stay out of Pulumi's state, or an object with its content.

    It has REPLACING, the inputs that only another resource can have, and `identifier`, `ensure`, `current`, `changed`
    and `delete`, which take the inputs of the resource. It is imported when needed: a provider's process starts light.
    """

    module: ClassVar[str]

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Make what is missing, or take over what a stack that protects its data left."""
        return CreateResult(id_=self._module().identifier(props), outs=self._module().ensure(props))

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Take over what is there."""
        return UpdateResult(outs=self._module().ensure(news))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Look at it; what is gone is made anew by the next update."""
        found = self._module().current(props)
        return ReadResult(id_=id_ if found else "", outs=found or props)

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Compare with the platform itself: a changed password does not wait for a refresh."""
        if is_unknown(news):
            return DiffResult(changes=True)
        replaced = [key for key in self._module().REPLACING if olds.get(key) != news.get(key)]
        return DiffResult(changes=bool(replaced) or self._module().changed(olds, news), replaces=replaced)

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        """Delete it, unless it opens what outlives the stack."""
        self._module().delete(props)

    def _module(self) -> Any:
        return importlib.import_module(self.module)
