"""The credentials that Google Cloud is asked with: those of whoever runs the program, found by google-auth.

A key file, a person's login by gcloud, a runner's workload identity and the metadata server are all found in the same
way. Only access tokens are taken from them, and no token leaves this process but in the header of a call.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.contract import PlatformFailed, Refused

if TYPE_CHECKING:
    import urllib3

_SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"


@dataclass(kw_only=True)
class Credentials:
    """An access token that is renewed before it expires; it is safe to be asked for from many threads."""

    pool: urllib3.PoolManager
    _found: Any = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def headers(self) -> dict[str, str]:
        """Return the headers of a call. Raises as `token`."""
        return {"Authorization": f"Bearer {self.token()}"}

    def token(self) -> str:
        """Return an access token. Raises Refused without credentials, PlatformFailed if they give none."""
        with self._lock:
            if self._found is None:
                self._found = _default()
            if not self._found.valid:
                self._refresh()
            return str(self._found.token)

    def renew(self) -> None:
        """Let the next call have another token: one that Google has refused may have been revoked."""
        with self._lock:
            if self._found is not None:
                self._refresh()

    def _refresh(self) -> None:
        # google-auth takes a fifth of a second to import, which a command that only prints its help need not wait for.
        from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415
        from google.auth.transport.urllib3 import Request  # noqa: PLC0415

        try:
            self._found.refresh(Request(self.pool))  # type: ignore[no-untyped-call]
        except GoogleAuthError as error:
            # The error's text may hold what the token's server answered.
            raise PlatformFailed(
                f"the credentials for Google Cloud give no access token ({type(error).__name__})",
                code="gcp-no-token",
                fix="Log in again: gcloud auth application-default login",
            ) from None


def _default() -> Any:
    import google.auth  # noqa: PLC0415 - as above
    from google.auth.exceptions import DefaultCredentialsError  # noqa: PLC0415

    try:
        found, _ = google.auth.default(scopes=[_SCOPE])
    except DefaultCredentialsError:
        raise Refused(
            "No credentials for Google Cloud are found.",
            code="gcp-no-credentials",
            fix="Log in with `gcloud auth application-default login`, or name a key file in "
            "GOOGLE_APPLICATION_CREDENTIALS.",
        ) from None
    return found
