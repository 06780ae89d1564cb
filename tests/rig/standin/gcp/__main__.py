"""Entry point: `pulumi-resource-gcp`, started by the Pulumi engine; prints its port."""

from __future__ import annotations

import sys

from tests.rig.standin import base
from tests.rig.standin.gcp.api import Api
from tests.rig.standin.gcp.provider import Gcp
from tests.rig.standin.sdk import Sdk

if __name__ == "__main__":
    base.serve(Gcp(Sdk("pulumi_gcp"), Api()), announce=lambda port: print(port, file=sys.stdout, flush=True))
