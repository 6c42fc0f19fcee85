#!/usr/bin/env bash
# Remakes the pictures of README.md, docs/gallery.md and docs/tuning.md, with the commands that stand beside them there.
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
    -s harvesters -s poppies -s summertime -s tarascon -o "$out/gallery"

plain="--eta 0 --anchor 0 --reference 0 --margin-px 0 --adain 0.5"
tower="examples/content/eiffel-tower.jpg -s great-wave"
$python -m sigstyle transfer $tower $plain -o "$out/tuning-1.png"
$python -m sigstyle transfer $tower --reference 0 --anchor 0 -o "$out/tuning-2.png"
$python -m sigstyle transfer $tower --reference 0 -o "$out/tuning-3.png"

$python - "$out" <<'PYTHON'
import sys
from pathlib import Path

from PIL import Image

out = Path(sys.argv[1])
for name in ("castle", "cat", "tower", "blend"):
    Image.open(out / f"{name}.png").convert("RGB").save(f"docs/{name}.jpg", quality=88, optimize=True)
row = [Image.open(out / name).convert("RGB") for name in ("tuning-1.png", "tuning-2.png", "tuning-3.png", "tower.png")]
wide = Image.new("RGB", (sum(picture.width for picture in row), row[0].height))
for index, picture in enumerate(row):
    wide.paste(picture, (index * row[0].width, 0))
wide.thumbnail((2000, 2000))
wide.save("docs/tuning.jpg", quality=85, optimize=True)
sheet = Image.open(out / "gallery" / "contact-sheet.png").convert("RGB")
sheet.thumbnail((2400, 3200))
sheet.save("docs/gallery.jpg", quality=85, optimize=True)
PYTHON
