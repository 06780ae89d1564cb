"""The documents of the `ecs` target's resources, one module a concern. Pure: no pulumi, no boto3, no clock.

What AWS only knows once it has made it (a key's ARN, a secret's suffix, an endpoint) is an argument here, as plain
text: `backend` waits for it and calls.
"""
