"""Every key that MLflow draws by itself or publishes as a default: `mlflow_keys.json`, read from installed packages.

`python server/tools/mlflow_keys.py VERSION=PACKAGE_FOLDER ...` reads each folder's source without importing it, writes
the record and `docs/mlflow-keys.md`, and ends with 1 for a finding that EVALUATED lacks: evaluate it there first.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).resolve().parents[2]
RECORD = Path(__file__).with_name("mlflow_keys.json")
PAGE = ROOT / "docs" / "mlflow-keys.md"
#: What no server runs: clients, integrations of frameworks, and the messages of its protocols.
_SERVED = ("server", "store", "utils", "webhooks", "gateway", "genai", "assistant", "environment_variables.py")
_DRAWS = re.compile(
    r"^(secrets\.(?!compare_digest)\w+|os\.urandom|\w+\.generate_key|random\.SystemRandom|Crypto\.\w+)$"
)
_DEFAULT = re.compile(r"DEFAULT\w*(PASS|SECRET|KEY|TOKEN)|_SALT$|PASSPHRASE$|HMAC_KEY$", re.IGNORECASE)
_VARIABLE = re.compile(
    r"_?MLFLOW_\w*(SECRET_KEY|PASSPHRASE|KEK_|ENCRYPT|ADMIN_PASSWORD|INTERNAL\w*TOKEN|SIGNING|HMAC|SALT)\w*"
)
_SIGNS = ("secrets.", "urandom", "generate_key", "SystemRandom", "DEFAULT", "SALT", "PASS", "KEY", "MLFLOW_")
_INI = re.compile(r"^\s*(\w*(?:password|secret|token)\w*)\s*=\s*\S", re.IGNORECASE | re.MULTILINE)

OWN = "the stack's own, on every target"
EVALUATED: Mapping[str, tuple[str, str]] = {
    "variable MLFLOW_FLASK_SERVER_SECRET_KEY": (
        "signs sessions and forms of basic auth; without it a server with basic auth does not start",
        f"{OWN} with access `basic`; nothing signs anything in other modes",
    ),
    "variable MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": (
        "encrypts the secrets of webhooks",
        OWN,
    ),
    "store/model_registry/dbmodels/models.py: EncryptedString.__init__ draws Fernet.generate_key": (
        "the webhook key of a process whose environment names none; a second process or a restart reads nothing of it",
        "never drawn: the variable is set",
    ),
    "variable MLFLOW_AUTH_ADMIN_PASSWORD": (
        "the first password of basic auth's administrator",
        f"{OWN}, and held at each start",
    ),
    "server/auth/basic_auth.ini: publishes admin_password": (
        "the administrator's password of a server whose configuration names none",
        "not in force: the plugin writes a configuration with the stack's own",
    ),
    "server/auth/__init__.py: publishes _LEGACY_DEFAULT_ADMIN_PASSWORD": (
        "the old default, which MLflow refuses by it",
        "not in force",
    ),
    "server/auth/__init__.py: draws secrets.token_bytes": (
        "keys the hashes in each process's memory of checked passwords",
        "left to MLflow: it never leaves the process",
    ),
    "variable _MLFLOW_INTERNAL_GATEWAY_AUTH_TOKEN": (
        "lets a server's own jobs call its gateway",
        "drawn at each start and shared by the server's processes; jobs of other servers have no use for it",
    ),
    "server/__init__.py: _run_server draws secrets.token_hex": (
        "that token, drawn by the `mlflow server` command for its own basic auth",
        "the plugin draws it with access `basic`",
    ),
    "variable MLFLOW_CRYPTO_KEK_PASSPHRASE": (
        "from what the key is derived that encrypts the keys of the gateway's secrets",
        OWN,
    ),
    "variable MLFLOW_CRYPTO_KEK_VERSION": ("which of the passphrases it is", OWN),
    "utils/crypto.py: publishes DEFAULT_KEK_PASSPHRASE": (
        "encrypts the gateway's secrets if MLFLOW_CRYPTO_KEK_PASSPHRASE is not set: whoever has a dump reads them",
        f"never in force: passphrase and version are {OWN}",
    ),
    "utils/crypto.py: publishes MLFLOW_KEK_SALT": (
        "the salt of the key from the passphrase",
        "public by design: the passphrase has 256 random bits",
    ),
    "utils/crypto.py: _generate_dek draws AESGCM.generate_key": (
        "the key of one gateway secret, stored with it, wrapped by the key from the passphrase",
        "left to MLflow",
    ),
    "utils/crypto.py: _encrypt_with_aes_gcm draws os.urandom": ("the nonce of one encryption", "left to MLflow"),
    "store/tracking/_secret_cache.py: EphemeralCacheEncryption._get_bucket_key draws os.urandom": (
        "encrypts decrypted gateway secrets in a process's memory",
        "left to MLflow: it never leaves the process",
    ),
}


def findings(package: Path) -> list[str]:
    """Return every line by which the MLflow in `package` draws a key, publishes one, or names a variable for one."""
    found: set[str] = set()
    for part in _SERVED:
        root = package / part
        for path in [root] if root.is_file() else sorted(root.rglob("*.py")):
            name = path.relative_to(package).as_posix()
            if "/db_migrations/" not in name:
                found |= {_named(name, what) for what in _of_module(path.read_text(encoding="utf-8"))}
        for path in sorted(root.rglob("*.ini")) if root.is_dir() else ():
            name = path.relative_to(package).as_posix()
            found |= {f"{name}: publishes {match[1]}" for match in _INI.finditer(path.read_text(encoding="utf-8"))}
    return sorted(found)


def _named(module: str, what: str) -> str:
    """Return the name of a finding: a variable is one, wherever it is named."""
    return what if what.startswith("variable ") else f"{module}: {what}"


def _of_module(text: str) -> Iterator[str]:
    # Most modules have none of it, and parsing all takes long.
    if any(sign in text for sign in _SIGNS):
        yield from _of_node(ast.parse(text), ())


def _of_node(node: ast.AST, inside: tuple[str, ...]) -> Iterator[str]:
    if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        inside = (*inside, node.name)
    if isinstance(node, ast.Call) and _DRAWS.match(called := ast.unparse(node.func)):
        yield f"{'.'.join(inside)} draws {called}".strip()
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and _VARIABLE.fullmatch(node.value):
        yield f"variable {node.value}"
    if isinstance(node, (ast.Assign, ast.AnnAssign)) and isinstance(node.value, ast.Constant) and node.value.value:
        if not isinstance(node.value.value, (str, bytes)):
            return
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        names = [target.id for target in targets if isinstance(target, ast.Name)]
        yield from (f"publishes {name}" for name in names if _DEFAULT.search(name))
    for child in ast.iter_child_nodes(node):
        yield from _of_node(child, inside)


def page(record: Mapping[str, list[str]]) -> str:
    """Return docs/mlflow-keys.md."""
    rows = []
    for finding, (what, here) in EVALUATED.items():
        versions = [version for version, found in record.items() if finding in found]
        if versions:
            # Dotted: a path would read as one of this project's files.
            shown = finding.replace(".py:", ":").replace("/", ".")
            rows.append(f"| `{shown}` | {', '.join(versions)} | {what} | {here} |")
    head = (
        "# Keys that MLflow draws or publishes\n\n"
        "Written by `python server/tools/mlflow_keys.py` from the source of every version that can be served. A test\n"
        "is red for a finding that nobody has evaluated. Why keys are kept as they are:\n"
        "[adr/0029-keys-at-rest.md](adr/0029-keys-at-rest.md).\n\n"
        "| where | versions | what it is | here |\n|---|---|---|---|\n"
    )
    return head + "\n".join(rows) + "\n"


def main() -> int:
    """Read the packages named, and write record and page; 1 for a finding that nobody has evaluated."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("packages", nargs="*", metavar="VERSION=FOLDER", help="an MLflow version and its package")
    options = parser.parse_args()
    record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    for version, _, folder in (named.partition("=") for named in options.packages):
        record[version] = findings(Path(folder))
    record = dict(sorted(record.items(), key=lambda item: [int(part) for part in item[0].split(".")]))
    RECORD.write_text(json.dumps(record, indent=2) + "\n")
    PAGE.write_text(page(record))
    unknown = sorted({finding for found in record.values() for finding in found} - EVALUATED.keys())
    for finding in unknown:
        print(f"mlflow_keys: nobody has evaluated this: {finding}", file=sys.stderr)
    return 1 if unknown else 0


if __name__ == "__main__":
    sys.exit(main())
