import subprocess
import sys

import pytest

import sigstyle
from sigstyle.api import capture
from sigstyle.style.style import Style


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = ["torch", "diffusers", "transformers", "PIL", "numpy", "gradio"]
    code = f"import sys, sigstyle; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_capture_stays_a_function_although_its_module_is_imported() -> None:
    assert "sigstyle.learning.loop" in sys.modules
    assert sigstyle.capture is capture
    assert sigstyle.Style is Style


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="nothing"):
        _ = sigstyle.nothing  # type: ignore[attr-defined]
