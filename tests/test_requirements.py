"""What is installed: pyproject.toml says it to users, requirements files to a checkout; here they are compared."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]


def listed(name: str) -> set[str]:
    """The requirements in a file, without comments and flags."""
    lines = [line.partition("#")[0].strip() for line in (ROOT / name).read_text(encoding="utf-8").splitlines()]
    return {line for line in lines if line and not line.startswith("-")}


def extra(name: str) -> set[str]:
    """What an extra asks for, with the extras that it names."""
    found: set[str] = set()
    for entry in EXTRAS[name]:
        named = re.fullmatch(r"sigstyle\[(.+)\]", entry)
        found |= set().union(*map(extra, named[1].split(","))) if named else {entry}
    return found


def package(requirement: str) -> str:
    """The normal name of the package that a requirement names."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~ ;@]", requirement)[0]).lower()


def test_requirements_are_the_library_and_the_app() -> None:
    assert listed("requirements.txt") == set(PROJECT["dependencies"]) | extra("app")


def test_development_requirements_are_the_extra_dev() -> None:
    assert listed("requirements-dev.txt") | extra("app") == extra("dev")


def test_the_library_needs_no_gradio() -> None:
    assert "gradio" not in {package(entry) for entry in PROJECT["dependencies"]}


def test_torch_is_pinned_so_that_no_gigabytes_of_drivers_come() -> None:
    assert "torch==2.13.0" in PROJECT["dependencies"] and "torch==2.13.0" in listed("constraints.txt")


def test_every_requirement_has_a_tested_version() -> None:
    pinned = {package(line) for line in listed("constraints.txt")}
    assert all("==" in line and "+" not in line for line in listed("constraints.txt"))
    wanted = {package(line) for line in listed("requirements.txt") | listed("requirements-dev.txt")}
    assert wanted <= pinned
