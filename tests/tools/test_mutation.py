"""Mutation testing: what mutmut says is read rightly, and no survivor is passed over."""

from __future__ import annotations

import pytest

from tests.tools.projects import ROOT
from tools import mutation

SHOWN = """\
# mlflow_backend.schema.xǁSchemaTableǁpending__mutmut_5: survived
--- components/mlflow_backend/schema.py
+++ components/mlflow_backend/schema.py
@@ -3,4 +3,4 @@
         order = self.revisions.get(chain, ())
-        return order[0:]
+        return order[1:]
"""
RESULTS = """\
    mlflow_backend.schema.xǁSchemaTableǁpending__mutmut_5: survived
    mlflow_backend.schema.x_decide__mutmut_1: killed
    mlflow_backend.schema.x_decide__mutmut_2: timeout
    mlflow_backend.schema.x_decide__mutmut_3: not checked
"""
SURVIVOR = mutation.Mutant(
    module="components/mlflow_backend/schema.py",
    function="SchemaTable.pending",
    was="return order[0:]",
    became="return order[1:]",
)


def test_the_results_are_read() -> None:
    """Every mutant has a status; a method and a function are named as people name them."""
    assert mutation.parse_results(RESULTS) == {
        "mlflow_backend.schema.xǁSchemaTableǁpending__mutmut_5": "survived",
        "mlflow_backend.schema.x_decide__mutmut_1": "killed",
        "mlflow_backend.schema.x_decide__mutmut_2": "timeout",
        "mlflow_backend.schema.x_decide__mutmut_3": "not checked",
    }
    name = "mlflow_backend.schema.xǁSchemaTableǁpending__mutmut_5"
    assert mutation.parse_shown("components/mlflow_backend/schema.py", name, SHOWN) == SURVIVOR
    shown = mutation.parse_shown(
        "components/mlflow_backend/schema.py", "mlflow_backend.schema.x_decide__mutmut_1", SHOWN
    )
    assert shown.function == "decide"


def test_a_survivor_without_an_explanation_is_red(capsys: pytest.CaptureFixture[str]) -> None:
    """So is an explanation that explains nothing any more; with both in agreement there is nothing to say."""
    assert mutation.report([SURVIVOR], {}) == 1
    assert (
        "SURVIVED components/mlflow_backend/schema.py SchemaTable.pending\n  - return order[0:]"
        in capsys.readouterr().out
    )
    assert mutation.report([], {SURVIVOR: "equal"}) == 1
    assert "NEEDLESS in tests/mutants.toml" in capsys.readouterr().out
    assert mutation.report([SURVIVOR], {SURVIVOR: "equal"}) == 0
    assert capsys.readouterr().out == ""


def test_every_explanation_says_why() -> None:
    """Each names a module that is mutated, and gives a reason."""
    for mutant, reason in mutation.explained((ROOT / mutation.EXPLAINED).read_text()).items():
        assert mutant.module in mutation.MODULES
        assert len(reason.split()) > 3, mutant


def test_the_modules_and_their_tests_are_there() -> None:
    """A file that moved would be mutated no more."""
    for module, tests in mutation.MODULES.items():
        assert all((ROOT / name).is_file() for name in (module, *tests))


def test_an_unknown_module_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """A typing error is no green run of nothing."""
    with pytest.raises(SystemExit):
        mutation.main(["components/scheme.py"])
    assert "components/scheme.py" in capsys.readouterr().err
