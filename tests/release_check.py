"""Before a release: an installation from nothing, with all its dependencies, of a wheel built from the source archive.

`python tests/release_check.py`, or `make release-check`; needs the package index.
"""

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from installed import ROOT, Installed, build


def installed_whole(folder: Path) -> Installed:
    """A fresh environment with the wheel, the app and everything they need, in the versions that were tested."""
    wheel = build(Path(sys.executable), folder / "dist")
    print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.0f} MB. Installing it with all it needs …", flush=True)
    venv.create(folder / "venv", with_pip=True)
    commands = folder / "venv" / ("Scripts" if sys.platform == "win32" else "bin")
    packages = [f"sigstyle[app] @ {wheel.as_uri()}", "-c", str(ROOT / "constraints.txt")]
    subprocess.run([str(commands / "python"), "-m", "pip", "install", "-q", *packages], check=True)
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    return Installed(commands, commands / "python", {}, elsewhere)


def main() -> None:
    """Builds, installs, restyles, runs the demo briefly and asks the app for its flags; says what it saw."""
    with tempfile.TemporaryDirectory(prefix="sigstyle-release-") as name:
        installed = installed_whole(Path(name).resolve())
        print(installed.says(installed.commands / "sigstyle", "--version"))
        made = installed.restyles(ROOT / "examples/content/cat.jpg")
        print(f"Restyled a photo in {made['seconds']} s from another folder.")
        installed.says(installed.commands / "sigstyle", "demo", "--steps", "2", "--size-px", "128", "-o", "demo")
        print("The demo ran.")
        installed.tells("import sigstyle.ui.page")
        print(installed.says(installed.commands / "sigstyle-app", "--help").splitlines()[0])


if __name__ == "__main__":
    main()
