"""Entry point: `pulumi-resource-aws`, started by the Pulumi engine; prints its port."""

from __future__ import annotations

import sys

from tests.rig.standin import base
from tests.rig.standin.aws.provider import Aws
from tests.rig.standin.sdk import Sdk

if __name__ == "__main__":
    base.serve(Aws(Sdk("pulumi_aws")), announce=lambda port: print(port, file=sys.stdout, flush=True))
