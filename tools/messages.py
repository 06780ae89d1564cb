"""Every message with a code, as docs/messages.md shows it: its diff shows each change of wording.

The messages are read from the source: each call of the product that has a literal `code`. A text that is put together
elsewhere is shown by its name in braces.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT: Final = Path(__file__).resolve().parents[1]
ERRORS: Final = {
    "UsageError": "Wrong usage or settings (exit code 2)",
    "Refused": "Refused, and nothing was touched (exit code 3)",
    "PlatformFailed": "The platform, or a part of the backend, failed (exit code 4)",
    "VerificationFailed": "Verification failed (exit code 1)",
}
"""The product's types of errors. A code stands once in the source, so that it distinguishes cases."""
_OTHERS: Final = {
    "Decision": "Whether a release may be put on a database",
    "RollbackResult": "How a rollback ends",
    "Rule": "Causes that a verification recognises",
    "failed": "Checks that fail",
    "inconclusive": "Checks that are inconclusive",
}
_SECTIONS: Final = {**ERRORS, **_OTHERS}
_TEXTS: Final = ("finding", "sentence", "reason", "cause", "fix", "next_step")


@dataclass(frozen=True, kw_only=True)
class Message:
    """One message: the section it belongs to, its code, its text as a template, and the module that has it."""

    section: str
    code: str
    text: str
    module: str


def messages(root: Path = ROOT) -> list[Message]:
    """Return every message of the product and its commands, by section and code."""
    found: list[Message] = []
    for folder in (root / "components", root / "scripts"):
        for path in sorted(folder.rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            found += _messages(tree, str(path.relative_to(root)))
    order = list(_SECTIONS)
    return sorted(found, key=lambda message: (order.index(message.section), message.code, message.text))


def unnamed(root: Path = ROOT) -> list[str]:
    """Return where an error is made without a code."""
    return [
        f"{path.relative_to(root)}:{call.lineno}"
        for folder in (root / "components", root / "scripts")
        for path in sorted(folder.rglob("*.py"))
        for call in _calls(ast.parse(path.read_text(encoding="utf-8")))
        if _name(call) in ERRORS and not any(each.arg == "code" for each in call.keywords)
    ]


def sections(found: Sequence[Message]) -> str:
    """Return a table for each type of message."""
    lines = []
    for name, title in _SECTIONS.items():
        rows = [f"| `{each.code}` | {each.text} |" for each in found if each.section == name]
        lines += [f"## {title}", "| code | message |", "|---|---|", *rows, ""]
    return "\n".join(lines).rstrip()


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def _name(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else ""


def _messages(tree: ast.Module, module: str) -> Iterator[Message]:
    for scope in (tree, *(node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))):
        nodes = list(_own(scope))
        names = _texts_by_name(nodes)
        for call in (node for node in nodes if isinstance(node, ast.Call)):
            given = {each.arg: each.value for each in call.keywords}
            if _name(call) not in _SECTIONS or not isinstance(given.get("code"), ast.Constant | ast.JoinedStr):
                continue
            texts = [_template(each, names) for each in call.args[:1]]
            texts += [_template(given[name], names) for name in _TEXTS if name in given]
            part = f"{_template(given['part'], names)}: " if "part" in given else ""
            text = part + " ".join(_sentence(each) for each in texts if each)
            yield Message(section=_name(call), code=_template(given["code"], {}), text=_cell(text), module=module)


def _own(scope: ast.AST) -> Iterator[ast.AST]:
    """Return the nodes of a function or module without those of the functions in it."""
    for child in ast.iter_child_nodes(scope):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield child
            yield from _own(child)


def _texts_by_name(nodes: Sequence[ast.AST]) -> dict[str, ast.expr]:
    """Return the texts that a scope gives a name once."""
    given = [
        (target.id, node.value)
        for node in nodes
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    ]
    names = [name for name, _ in given]
    return {name: value for name, value in given if names.count(name) == 1 and _is_text(value)}


def _is_text(value: ast.expr) -> bool:
    return isinstance(value, ast.JoinedStr) or (isinstance(value, ast.Constant) and isinstance(value.value, str))


def _template(value: ast.expr, names: dict[str, ast.expr]) -> str:
    match value:
        case ast.Constant():
            return str(value.value)
        case ast.JoinedStr():
            return "".join(_template(each, names) for each in value.values)
        case ast.FormattedValue():
            return _template(value.value, {}) if isinstance(value.value, ast.Constant) else _hole(value.value)
        case ast.BinOp():
            return _template(value.left, names) + _template(value.right, names)
        case ast.Name() if value.id in names:
            return _template(names[value.id], {})
        case _:
            return _hole(value)


def _hole(value: ast.expr) -> str:
    """Return a name for what is put in: the last one that says what it is."""
    match value:
        case ast.Call(func=ast.Name(id="str" | "len" | "type") | ast.Attribute(attr="join"), args=[first, *_]):
            return _hole(first)
        case ast.GeneratorExp() | ast.ListComp():
            return _hole(value.generators[0].iter)
        case ast.Subscript(slice=ast.Constant(value=str(key))):
            return f"{{{key}}}"
        case ast.Call() | ast.Subscript() | ast.BoolOp() | ast.BinOp() | ast.IfExp():
            return _hole(next(child for child in ast.iter_child_nodes(value) if isinstance(child, ast.expr)))
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return f"{{{name.strip('_')}}}"
        case _:
            return "{...}"


def _sentence(text: str) -> str:
    whole = text.endswith((".", "!", "?", ":")) or re.fullmatch(r"\{\w+\}", text)
    return text if whole else f"{text}."


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|")
