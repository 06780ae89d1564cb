"""What a first preview does not know: documents and definitions that are made of other resources' outputs."""

from __future__ import annotations

import pulumi
from made import TASK, Made

role = Made("aws:iam/role:Role", "role", name="role")
Made("aws:iam/rolePolicy:RolePolicy", "grant", policy=pulumi.Output.json_dumps({"Statement": [{"Resource": role.arn}]}))
Made("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule", "rule", cidrIpv4=role.arn, fromPort=22, toPort=22)
Made(TASK, "task", containerDefinitions=pulumi.Output.json_dumps([{"image": role.arn}]))
