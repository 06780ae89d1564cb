"""Stands for the target in the registry while tests build its settings, because nothing can be deployed by it yet."""

from __future__ import annotations

from types import SimpleNamespace

TARGET = SimpleNamespace(name="cloudrun", loopback=False, platforms=frozenset({"gcp"}))
