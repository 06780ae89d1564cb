#!/bin/sh
# `mlflow` of an image that holds tests/rig/tiny.py instead.
exec python /opt/rig/tiny.py "$@"
