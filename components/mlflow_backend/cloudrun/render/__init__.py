"""The documents of a backend on Cloud Run, as run.v2 spells them. Pure."""
