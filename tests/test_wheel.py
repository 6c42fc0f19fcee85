"""The wheel, installed without its dependencies beside the packages of this environment, holds all it needs."""

import subprocess
import sys
from pathlib import Path

import pytest
from installed import ROOT, Installed, build
from PIL import Image

import sigstyle
from sigstyle.cli import demo

LARGEST = 100_000_000  # bytes of a file that the package index takes


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(Path(sys.executable), tmp_path_factory.mktemp("wheel"), "--wheel")


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    target = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", target, wheel]
    subprocess.run([*map(str, command)], check=True)
    environment = {"PYTHONPATH": str(target), "OMP_NUM_THREADS": "1"}
    return Installed(target / "bin", Path(sys.executable), environment, tmp_path_factory.mktemp("elsewhere"))


def test_it_restyles_a_photo_from_another_folder(installed: Installed) -> None:
    made = installed.restyles(ROOT / "examples/content/cat.jpg")
    [picture] = made["images"]
    with Image.open(picture) as image:
        assert min(image.size) == 128


def test_it_has_its_own_code_and_data(installed: Installed) -> None:
    code = "import sigstyle, pipelines, sigstyle.ui.serve; from sigstyle.data import shipped_path as found\n"
    code += "print(sigstyle.__file__, pipelines.__file__, found('examples'), found('weights/styles'), sep='\\n')"
    target = installed.commands.parent
    package, diffusers_pipelines, examples, styles = map(Path, installed.tells(code).splitlines())
    assert package.is_relative_to(target) and diffusers_pipelines.is_relative_to(target)
    assert examples.is_relative_to(target) and styles.is_relative_to(target)
    assert (package.parent / "py.typed").is_file() and (diffusers_pipelines.parent / "py.typed").is_file()
    assert (examples / demo.PHOTO).is_file() and (examples / demo.PAINTING).is_file()
    shipped = {path.name for path in (ROOT / "weights/styles").glob("*.safetensors")}
    assert {path.name for path in styles.glob("*.safetensors")} == shipped
    assert not list((target / "sigstyle/_data").rglob("*.py"))


def test_its_commands_say_the_one_version(installed: Installed) -> None:
    assert installed.says(installed.commands / "sigstyle", "--version") == f"sigstyle {sigstyle.__version__}"
    assert installed.says(installed.commands / "sigstyle-app", "--help").startswith("usage: sigstyle-app")


def test_it_is_small_enough_for_the_package_index(wheel: Path) -> None:
    assert wheel.stat().st_size < LARGEST
    assert wheel.name.startswith(f"sigstyle-{sigstyle.__version__}-py3-none-any")
