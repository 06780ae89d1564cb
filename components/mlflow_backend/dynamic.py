"""Common parts of dynamic resources: a provider that ends with its engine, an update's id, errors without traceback."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import re
import select
import stat
import sys
import threading
import traceback
import uuid
from collections.abc import Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

import pulumi
from pulumi.dynamic import ResourceProvider
from pulumi.output import Unknown

from mlflow_backend.contract import BackendError, Refused
from mlflow_backend.locator import from_document
from mlflow_backend.offered import here, typed, typed_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import DataclassInstance
    from pulumi.dynamic import ConfigureRequest

    from mlflow_backend.locator import Locator

UPDATE_ID: Final = "updateId"
"""The input that holds `update_id`."""
_CALLS = frozenset({"check", "create", "delete", "diff", "read", "update"})
_SAY_WHOSE = frozenset({"locator", "state", "stack"})
_WATCH = "end-with-engine"


class Provider(ResourceProvider):
    """A dynamic provider whose process ends with its engine.

    Pulumi's own launcher waits for ever: the provider of an engine that was killed would keep 60 MB for good, and go
    on changing the backend beside the next update.
    """

    # A provider holds nothing, so that nothing of it is to be encrypted in the state. A resource's properties may be.
    serialize_as_secret_always = False

    def __init_subclass__(cls, **options: Any) -> None:
        """Let what a provider raises offer the commands of its own backend."""
        super().__init_subclass__(**options)
        for name in _CALLS & vars(cls).keys():
            setattr(cls, name, _offering(vars(cls)[name]))

    def configure(self, req: ConfigureRequest) -> None:
        """Begin to watch the engine; Pulumi calls this once before anything else of a provider."""
        super().configure(req)
        hide_tracebacks()
        end_with_engine(sys.__stdout__.fileno() if sys.__stdout__ else -1)


def _offering(call: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(call)
    def called(self: Provider, *arguments: Any) -> Any:
        try:
            return call(self, *arguments)
        except Exception as error:
            given = (each for each in arguments if isinstance(each, dict) and each.keys() & _SAY_WHOSE)
            properties: dict[str, Any] = next(given, {})
            if error.args and isinstance(error.args[0], str):
                error.args = (offered_to(error.args[0], properties), *error.args[1:])
            raise

    return called


def offered_to(text: str, properties: Mapping[str, Any]) -> str:
    """Return a message of a resource with the commands of its own backend, as far as its properties say which."""
    if isinstance(document := properties.get("locator"), Mapping):
        with contextlib.suppress(Refused):
            return typed_for(text, from_document(document))
    if isinstance(folder := properties.get("state"), str):
        return here(text, stack=PurePath(folder).name, address=folder)
    return typed(text, str(properties["stack"])) if "stack" in properties else text


def input_names(kind: type[DataclassInstance]) -> dict[str, str]:
    """Return how the arguments of a resource are called among its inputs: in camel case, by the field's name."""
    return {
        each.name: re.sub("_([a-z])", lambda found: found[1].upper(), each.name) for each in dataclasses.fields(kind)
    }


def inputs_of(args: DataclassInstance) -> dict[str, Any]:
    """Return the arguments of a resource as its inputs, by camel-case names; sequences and mappings are plain."""
    found = {}
    for field, name in input_names(type(args)).items():
        value = getattr(args, field)
        plain = dict(value) if isinstance(value, Mapping) else value
        found[name] = list(plain) if isinstance(plain, tuple) else plain
    return found


def document_of(locator: pulumi.Input[Locator]) -> pulumi.Output[dict[str, Any]]:
    """Return the document of a locator that may not be known yet, as the input of a resource."""
    return pulumi.Output.from_input(locator).apply(lambda found: found.document())


def end_with_engine(output: int) -> None:
    """End this process, and the processes that it started, as soon as nobody can read its `output` any more.

    `output` is the descriptor of the pipe to which a plugin writes its port. The engine keeps the other end open for as
    long as it lives, so this is true of every engine and language host, with or without a shell in between. A process
    whose output is no pipe was started by hand, and is left alone.
    """
    if any(thread.name == _WATCH for thread in threading.enumerate()) or not _is_pipe(output):
        return
    threading.Thread(target=_watch, args=(output,), name=_WATCH, daemon=True).start()


def _is_pipe(descriptor: int) -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(descriptor).st_mode)
    except OSError:
        return False


def _watch(output: int) -> None:
    poll = select.poll()
    # No event is asked for: the end of the last reader is reported unasked.
    poll.register(output, 0)
    poll.poll()
    _end_children()
    # Not `sys.exit`: calls of the engine may still be answered by other threads, and nobody waits for them.
    os._exit(1)


def _end_children() -> None:
    """Kill what this process started and waits for; a daemon that it left running belongs to the backend."""
    # Only the end of a killed engine pays for the import.
    import psutil  # noqa: PLC0415

    for child in psutil.Process().children(recursive=True):
        try:
            child.kill()
        except psutil.Error:
            continue


def hide_tracebacks() -> None:
    """Let Pulumi's launcher answer an error for people by its message alone: it answers by a traceback."""
    launcher: Any = sys.modules["__main__"]
    if hasattr(launcher, "DynamicResourceProviderServicer"):
        launcher.traceback = _Messages


def update_id() -> str:
    """Return an id that is new in each real update, and empty in a preview.

    As an input of a resource it makes that resource run in every update, and in no preview (ADR 24).
    """
    return "" if pulumi.runtime.is_dry_run() else uuid.uuid4().hex


def asked_again(olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
    """Return whether a real update asks, by the id among its inputs.

    A preview has no id. A refresh hands in the id that the state has, which nobody asks with any more.
    """
    return news.get(UPDATE_ID, "") not in {"", olds.get(UPDATE_ID, "")}


def is_unknown(value: object) -> bool:
    """Return whether an input, or anything in it, is a value that Pulumi does not know yet."""
    if isinstance(value, Mapping):
        return any(is_unknown(item) for item in value.values())
    if isinstance(value, list | tuple):
        return any(is_unknown(item) for item in value)
    return isinstance(value, Unknown)


class _Messages:
    """What Pulumi's launcher formats the exceptions of providers by, instead of the module `traceback`."""

    @staticmethod
    def format_exc() -> str:
        """Return the message of the error that is being handled, with its traceback if nobody foresaw it."""
        error = sys.exc_info()[1]
        return str(error) if isinstance(error, BackendError) else traceback.format_exc()
