"""The policy pack that previews are held to.

`catalogue` lists the policies, `stores`, `network`, `documents`, `containers` and `keeping` hold their rules as pure
functions, `pack` hands them to the engine and `rendered` runs those on container definitions and IAM documents on what
components/ecs/render makes of the settings. docs/policies.md is generated from the catalogue.
"""
