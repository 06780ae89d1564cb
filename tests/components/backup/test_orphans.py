"""What a restored database and its artifacts say of each other."""

from __future__ import annotations

import pytest

from mlflow_backend.backup.orphans import NamedArtifacts, orphans

ROOT = "s3://mlflow/artifacts"
RUN = NamedArtifacts(owner="run r1", location="mlflow-artifacts:/1/r1/artifacts", expected=False)
MODEL = NamedArtifacts(owner="model version m/3", location=f"{ROOT}/1/models/m-1/artifacts", expected=True)
ELSEWHERE = NamedArtifacts(owner="model version m/4", location="s3://other/1/models", expected=True)
RUNS_FILE, MODELS_FILE = "1/r1/artifacts/a/b.txt", "1/models/m-1/artifacts/MLmodel"


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({RUNS_FILE: 1, MODELS_FILE: 2}, []),
        ({MODELS_FILE: 2}, []),
        ({RUNS_FILE: 1}, [("model version m/3", "1/models/m-1/artifacts")]),
        ({MODELS_FILE: 2, "1/r2/artifacts/x": 3, "1/r10/y": 4}, [("2 artifacts of 7 bytes", "1/r10/y")]),
        ({"1/r1/artifacts2/x": 3}, [("1 artifacts of 3 bytes", "1/r1/artifacts2/x"), ("m/3", "models")]),
        ({}, [("model version m/3", "1/models/m-1/artifacts")]),
    ],
    ids=["both", "a run without files", "a model without files", "two of no run", "a name that begins alike", "none"],
)
def test_both_sides_are_compared(files: dict[str, int], words: list[tuple[str, str]]) -> None:
    """A run may have no file and a model may not; what is outside of the artifact root is another's."""
    found = orphans(files, [RUN, MODEL, ELSEWHERE], root=ROOT)
    assert [all(word in sentence for word in expected) for sentence, expected in zip(found, words, strict=True)] == [
        True
    ] * len(words)
