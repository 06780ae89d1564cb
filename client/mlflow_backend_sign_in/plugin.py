"""The plugin that MLflow's client asks for a login, and what it does to each request and to a refusal."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from mlflow_backend_sign_in import google, keys
from mlflow_backend_sign_in.settings import Settings
from mlflow_backend_sign_in.tokens import Tokens

if TYPE_CHECKING:
    from requests import PreparedRequest, Response

NAME = "mlflow-backend"
"""The value of MLFLOW_TRACKING_AUTH."""
_UNAUTHORIZED = 401


class SignIn:
    """Signs the requests of MLflow's client in; what requests takes as `auth`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        key = functools.partial(keys.read, settings.key, settings.credentials)
        identity = functools.partial(
            google.identity_token, settings.audience, settings.service_account, settings.credentials
        )
        self._key = Tokens(key) if settings.key else None
        self._identity = Tokens(identity) if settings.audience else None

    def headers(self, *, other_login: bool) -> dict[str, str]:
        """Return the headers of one request, which may have another login in Authorization. Raises SignInFailed."""
        return self._settings.headers(*self._tokens(("", "")), other_login=other_login)

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Add the headers, and watch for a refusal. Raises SignInFailed."""
        other_login = "Authorization" in request.headers
        sent = self._tokens(("", ""))
        request.headers.update(self._settings.headers(*sent, other_login=other_login))
        answered = functools.partial(self._answered, origin=_origin(str(request.url)), sent=sent, other=other_login)
        request.register_hook("response", answered)
        return request

    def _tokens(self, refused: tuple[str, str]) -> tuple[str, str]:
        key, identity = refused
        return (
            self._key.current(key) if self._key else "",
            self._identity.current(identity) if self._identity else "",
        )

    def _answered(
        self, response: Response, *, origin: tuple[Any, ...], sent: tuple[str, str], other: bool, **how: Any
    ) -> Response:
        """Return the answer; if the login was refused and the sources have another one by now, that to a second try."""
        request = response.request
        # A redirect to another host, as to a page for people to sign in at, gets neither this token nor a new one.
        if _origin(str(request.url)) != origin:
            return response
        if response.is_redirect and _origin(urljoin(str(request.url), response.headers["location"])) != origin:
            for name in self._settings.headers(*sent, other_login=other):
                request.headers.pop(name, None)
        if response.status_code != _UNAUTHORIZED:
            return response
        renewed = self._tokens(sent)
        if renewed == sent or not _rewound(request):
            return response
        response.close()
        request.headers.update(self._settings.headers(*renewed, other_login=other))
        again: Response = response.connection.send(request, **how)
        again.history.append(response)
        return again


class Provider:
    """What MLflow makes of the entry point, in every process that imports its registry."""

    def get_name(self) -> str:
        """Return the name that MLFLOW_TRACKING_AUTH is compared with."""
        return NAME

    def get_auth(self) -> SignIn:
        """Return what signs requests in as the environment asks now. Raises SignInFailed."""
        settings = Settings.of(os.environ)
        # Atomic, so that all threads share one.
        return _sign_ins.get(settings) or _sign_ins.setdefault(settings, SignIn(settings))


_sign_ins: dict[Settings, SignIn] = {}


def _origin(url: str) -> tuple[Any, ...]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


def _rewound(request: PreparedRequest) -> bool:
    """Return whether the body can be sent again, from its beginning."""
    # Imported here, because the gate signs in without requests.
    from requests.exceptions import UnrewindableBodyError  # noqa: PLC0415
    from requests.utils import rewind_body  # noqa: PLC0415

    if request.body is None or isinstance(request.body, (bytes, str)):
        return True
    try:
        rewind_body(request)
    except UnrewindableBodyError:
        return False
    return True
