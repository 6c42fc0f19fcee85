"""Fetch the Debian packages the embedded base learns from, and write down what they hold."""

import re
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from weights.training import dataset
from weights.training.sources import PACKAGES


def download(package: str, into: Path) -> Path:
    """Download one Debian package with apt into ``into`` unless it is there; return the .deb's path."""
    into.mkdir(parents=True, exist_ok=True)
    if not list(into.glob(f"{package}_*.deb")):
        subprocess.run(["apt-get", "download", "-qq", package], cwd=into, check=True)
    return max(into.glob(f"{package}_*.deb"))


def unpack(deb: Path, into: Path) -> None:
    """Unpack a .deb's files below ``into`` (no installation, no scripts run): whole, or not at all."""
    if into.exists():
        return
    into.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=into.parent) as scratch:
        subprocess.run(["dpkg", "-x", str(deb), f"{scratch}/whole"], check=True)
        Path(scratch, "whole").rename(into)


def version_of(deb: Path) -> str:
    """Read a package's version."""
    found = subprocess.run(["dpkg-deb", "-f", str(deb), "Version"], capture_output=True, text=True, check=True)
    return found.stdout.strip()


def licences_of(unpacked: Path) -> list[str]:
    """List the licence names that a package's copyright files state (machine-readable form), most frequent first."""
    counts: dict[str, int] = defaultdict(int)
    for path in unpacked.glob("usr/share/doc/*/copyright"):
        for name in re.findall(r"^License:[ \t]*(\S[^\n]*)$", path.read_text(errors="replace"), re.MULTILINE):
            counts[name.strip()] += 1
    return sorted(counts, key=lambda name: -counts[name])


def write_card(debs: dict[str, Path], packages_dir: Path, tiles: Sequence[dataset.Tile], path: Path) -> None:
    """Write the table of packages, versions, licences, files and tiles in Markdown."""
    files, counts, share = defaultdict(set), defaultdict(int), defaultdict(float)
    for tile in tiles:
        package = tile.source.split(":", 1)[0]
        files[package].add(tile.source)
        counts[package] += 1
        share[package] += tile.weight
    total = sum(share.values())
    rows = [
        f"| {name} | {version_of(deb)} | {len(files[name])} | {counts[name]} | {100 * share[name] / total:.1f} % "
        f"| {', '.join(licences_of(packages_dir / name)[:8]) or 'free text, see the package'} |"
        for name, deb in sorted(debs.items())
        if counts[name]
    ]
    held = len({tile.source for tile in tiles if tile.split == "held"})
    path.write_text(
        "# What the embedded base was trained on\n\n"
        "Written by `python -m weights.training data`. Every picture comes out of a package of Debian's *main* "
        "section, so each is free to use, change and pass on. The licences are those that the package's own "
        "copyright file names (for all of its files, most frequent first, at most eight); the file has "
        "the details.\n\n"
        "| package | version | pictures used | tiles | share of the draws | licences named in the package |\n"
        "| --- | --- | --- | --- | --- | --- |\n" + "\n".join(rows) + "\n\n"
        f"In all {len({t.source for t in tiles})} pictures, {len(tiles)} tiles of 256 or 512 px; {held} pictures are "
        "held out, chosen by a hash of their names. Duplicates, near-duplicates of the example images, empty sheets, "
        "surface maps and most sign sheets are left out. Captions come from file names, folder names and, for stamps, "
        "their texts; the colours named in some captions are measured.\n"
    )


def fetch(work_dir: Path) -> dict[str, Path]:
    """Bring every package to ``work_dir/debs`` and unpack it below ``work_dir/packages``."""
    debs = {}
    for package in PACKAGES:
        debs[package] = download(package, work_dir / "debs")
        unpack(debs[package], work_dir / "packages" / package)
    return debs
