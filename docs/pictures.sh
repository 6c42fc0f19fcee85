#!/usr/bin/env bash
# Remakes the pictures of README.md and docs/gallery.md, with the commands that stand beside them there.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python}
out=${1:-outputs/pictures}
mkdir -p "$out"

$python -m sigstyle transfer examples/content/neuschwanstein.jpg -s church-auvers -o "$out/castle.png"
$python -m sigstyle transfer examples/content/cat.jpg -s cafe-terrace -o "$out/cat.png"
$python -m sigstyle transfer examples/content/eiffel-tower.jpg -s great-wave -o "$out/tower.png"
$python -m sigstyle transfer examples/content/horses.jpg -s tarascon:0.6 -s great-wave:0.4 -o "$out/blend.png"
photos=()
for photo in eiffel-tower cat neuschwanstein horses macaw colosseum; do photos+=(-c "examples/content/$photo.jpg"); done
$python -m sigstyle batch "${photos[@]}" \
    -s cafe-terrace -s church-auvers -s composition-viii -s great-wave \
    -s harvesters -s line-engraving -s moon-tarot -s poppies \
    -s summertime -s tarascon -s unicorn-tapestry -s woodcut -o "$out/gallery"

$python - "$out" <<'PYTHON'
import sys
from pathlib import Path

from PIL import Image

out = Path(sys.argv[1])
for name in ("castle", "cat", "tower", "blend"):
    Image.open(out / f"{name}.png").convert("RGB").save(f"docs/{name}.jpg", quality=88, optimize=True)
sheet = Image.open(out / "gallery" / "contact-sheet.png").convert("RGB")
sheet.thumbnail((2400, 3200))
sheet.save("docs/gallery.jpg", quality=85, optimize=True)
PYTHON
