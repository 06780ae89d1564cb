"""The account and region that a stand-in works in: its clients, its default tags, and errors without values.

Every call goes through boto3, so that botocore's models refuse what the API would; `AWS_ENDPOINT_URL` leads to the
emulated platform.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError, WaiterError
from botocore.parsers import ResponseParserError

from tests.rig.standin.base import Gone, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_CONNECT_S: Final = 5
_ANSWER_S: Final = 60
_ATTEMPTS: Final = 6
_WAIT: Final = {"Delay": 1, "MaxAttempts": 900}
_GONE: Final = re.compile(r"^404$|NotFound|NoSuch|DoesNotExist|NotExist|NonExistent|UnknownResource|ServiceNotActive")
# botocore quotes what it refuses, which may be a password.
_QUOTED: Final = re.compile(r"value: .*?(?=, (?:type|valid)|$)", re.MULTILINE)


@dataclass(kw_only=True)
class Account:
    """Where resources are made. `number` is the account's, asked once."""

    region: str
    number: str = ""
    default_tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make no client yet: each costs a tenth of a second."""
        self._session = boto3.session.Session(region_name=self.region)
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()
        self.cancelled = threading.Event()

    @property
    def partition(self) -> str:
        """The partition of the region."""
        return str(self._session.get_partition_for_region(self.region))

    def client(self, service: str) -> Any:
        """Return the client of a service; making one is not safe in two threads at once."""
        with self._lock:
            if service not in self._clients:
                retries: Any = {"mode": "standard", "total_max_attempts": _ATTEMPTS}
                config = Config(connect_timeout=_CONNECT_S, read_timeout=_ANSWER_S, retries=retries)
                make: Callable[..., Any] = self._session.client
                self._clients[service] = make(service, config=config)
            return self._clients[service]

    def call(self, service: str, operation: str, request: Mapping[str, Any]) -> Any:
        """Call an operation. Raises Gone if its subject is not there, Refused for everything else."""
        if self.cancelled.is_set():
            raise Refused("the update was cancelled")
        try:
            return getattr(self.client(service), operation)(**request)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "?")
            text = f"{service}.{operation}: {code}: {error.response.get('Error', {}).get('Message', '')}"
            raise (Gone if _GONE.search(code) else Refused)(text) from None
        except ParamValidationError as error:
            raise Refused(f"{service}.{operation}: {_QUOTED.sub('value hidden', str(error))}") from None
        except ResponseParserError:
            # moto answers an operation that it does not have with a page of HTML.
            raise Refused(f"{service}.{operation}: the platform does not implement it, or failed") from None
        except BotoCoreError as error:
            raise Refused(f"{service}.{operation}: {type(error).__name__}") from None

    def wait(self, service: str, waiter: str, request: Mapping[str, Any]) -> None:
        """Wait by botocore's own waiter. Raises Refused."""
        try:
            self.client(service).get_waiter(waiter).wait(**request, WaiterConfig=_WAIT)
        except WaiterError as error:
            raise Refused(f"{service} waiter {waiter}: {error.kwargs.get('reason')}") from None
        except BotoCoreError as error:
            raise Refused(f"{service} waiter {waiter}: {type(error).__name__}") from None
