"""The metadata server, one for each service account: who a container is, and its tokens."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from tests.rig.gcp import edge
from tests.rig.gcp.discovery import Failed
from tests.rig.gcp.tokens import LIFETIME_S

if TYPE_CHECKING:
    from tests.rig.gcp.edge import Exchange
    from tests.rig.gcp.tokens import Tokens
    from tests.rig.loopback import Block
    from tests.rig.patches import Patches


class Metadata:
    """The servers, by account."""

    def __init__(
        self, patches: Patches, block: Block, tokens: Tokens, *, project: str, number: str, region: str
    ) -> None:
        self._patches, self._block, self._tokens = patches, block, tokens
        self._project, self._number, self._region = project, number, region
        self._addresses: dict[str, str] = {}

    def variables(self, account: str) -> dict[str, str]:
        """Return by which variables a container of an account finds its server."""
        if account not in self._addresses:
            address = self._addresses[account] = self._block.address()
            edge.serve(self._patches, address, lambda _: lambda exchange: self._answer(exchange, account))
        return {"GCE_METADATA_HOST": self._addresses[account], "GCE_METADATA_IP": self._addresses[account]}

    def _answer(self, exchange: Exchange, account: str) -> None:
        flavour = {"Metadata_Flavor": "Google", "Server": "Metadata Server for VM"}
        if exchange.headers.get("Metadata-Flavor") != "Google":
            raise Failed(403, "Missing Metadata-Flavor:Google header.")
        url = exchange.url
        query = parse_qs(url.query)
        path = url.path.removeprefix("/computeMetadata/v1").strip("/")
        own = path.replace(f"service-accounts/{account}", "service-accounts/default")
        texts = {
            "": "", "project/project-id": self._project, "project/numeric-project-id": self._number,
            "instance/region": f"projects/{self._number}/regions/{self._region}",
            "universe/universe-domain": "googleapis.com", "instance/service-accounts/default/email": account,
        }  # fmt: skip
        if own == "instance/service-accounts/default":
            scopes = ["https://www.googleapis.com/auth/cloud-platform"]
            exchange.say(200, {"email": account, "scopes": scopes, "aliases": ["default"]}, **flavour)
        elif own == "instance/service-accounts/default/token":
            token = {"access_token": self._tokens.access(account), "expires_in": LIFETIME_S, "token_type": "Bearer"}
            exchange.say(200, json.dumps(token).encode(), **{**flavour, "Content_Type": "application/json"})
        elif own == "instance/service-accounts/default/identity" and query.get("audience"):
            token_text = self._tokens.identity(account, query["audience"][0])
            exchange.say(200, token_text.encode(), **{**flavour, "Content_Type": "text/html"})
        elif own in texts:
            exchange.say(200, texts[own].encode(), **{**flavour, "Content_Type": "application/text"})
        else:
            raise Failed(404, f"the metadata server has no {path}")
