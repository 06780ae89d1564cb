"""The upstream Terraform provider, asked about every AWS resource that this project registers.

`python -m tests.upstream` (weekly; a first build takes half an hour) validates and plans them; docs/testing/rig.md says
what that proves. `build` makes the program, `judge.go` is what it does, `mapping` knows Pulumi's names.
"""
