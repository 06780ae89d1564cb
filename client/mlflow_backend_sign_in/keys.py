"""API keys, read from where a reference says: a file, a command, AWS Secrets Manager or Google's Secret Manager."""

from __future__ import annotations

import base64
import importlib
import json
import shlex
import subprocess
from pathlib import Path

from mlflow_backend_sign_in import google
from mlflow_backend_sign_in.settings import KEY
from mlflow_backend_sign_in.tokens import SignInFailed, Token

_TRY_S = 8
_COMMAND_S = 25.0


def read(reference: str, credentials: str) -> Token:
    """Return the key that a reference names, which is used until it is refused.

    `credentials` are a file of Google's, or empty. Raises SignInFailed.
    """
    try:
        if reference.startswith("file:"):
            text = Path(reference[len("file:") :]).read_text(encoding="utf-8")
        elif reference.startswith("command:"):
            text = _printed(shlex.split(reference[len("command:") :]))
        elif reference.startswith("arn:"):
            text = _aws(reference)
        else:
            text = _google(reference, credentials)
        return Token(text.strip())
    except UnicodeDecodeError:
        finding = "it is no text"
    except subprocess.TimeoutExpired:
        finding = f"it took longer than {_COMMAND_S:.0f} s"
    except OSError as error:
        finding = error.strerror or type(error).__name__
    except ValueError as error:
        finding = str(error)
    # A command's arguments may hold what only its owner may see.
    shown = "the command" if reference.startswith("command:") else reference
    raise SignInFailed(f"{KEY}: {shown} gives no key: {finding}. Correct it, or what it names.")


def _printed(command: list[str]) -> str:
    """Return what a command prints; its standard error is shown nowhere. Raises ValueError if it fails."""
    if not command:
        raise ValueError("no command stands after 'command:'")
    quiet = subprocess.DEVNULL
    done = subprocess.run(command, stdin=quiet, stdout=subprocess.PIPE, stderr=quiet, timeout=_COMMAND_S, check=False)
    if done.returncode:
        raise ValueError(f"{command[0]} ended with {done.returncode}")
    return done.stdout.decode()


def _aws(reference: str) -> str:
    """Return a secret of AWS, or one key of a secret that is a JSON object (`ARN#KEY`). Raises ValueError."""
    try:
        boto3 = importlib.import_module("boto3")
        configuration = importlib.import_module("botocore.config").Config
    except ImportError:
        raise ValueError("boto3 is not installed, which reads it") from None
    config = configuration(connect_timeout=_TRY_S, read_timeout=_TRY_S, retries={"total_max_attempts": 3})
    name, _, key = reference.partition("#")
    try:
        client = boto3.client("secretsmanager", region_name=name.split(":")[3], config=config)
        text = str(client.get_secret_value(SecretId=name)["SecretString"])
        return str(json.loads(text)[key]) if key else text
    except Exception as error:  # noqa: BLE001 - botocore's, whose classes are made while it runs, and what JSON raises
        code = getattr(error, "response", {}).get("Error", {}).get("Code", type(error).__name__)
        raise ValueError(f"AWS Secrets Manager answered {code}") from None


def _google(reference: str, credentials: str) -> str:
    """Return a secret of Google's Secret Manager, in its newest version if none is named. Raises ValueError."""
    version = reference if "/versions/" in reference else f"{reference}/versions/latest"
    answer = google.called("secretmanager", f"{version}:access", None, credentials)
    try:
        return base64.b64decode(answer["payload"]["data"]).decode()
    except (KeyError, TypeError):
        raise ValueError("Google's Secret Manager answered without a payload") from None
