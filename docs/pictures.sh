#!/usr/bin/env bash
# Remakes the pictures of README.md, docs/gallery.md, docs/painting.md and docs/uses.md, with the commands beside them there.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python}
out=${1:-outputs/pictures}
mkdir -p "$out"

$python -m sigstyle transfer examples/content/neuschwanstein.jpg -s church-auvers -o "$out/castle.png"
$python -m sigstyle transfer examples/content/cat.jpg -s cafe-terrace -o "$out/cat.png"
$python -m sigstyle transfer examples/content/eiffel-tower.jpg -s great-wave -o "$out/tower.png"
$python -m sigstyle transfer examples/content/horses.jpg -s tarascon:0.6 -s great-wave:0.4 -o "$out/blend.png"
for style in great-wave church-auvers; do
    for protect in none auto; do
        $python -m sigstyle transfer benchmarks/pairs/content/astronaut.jpg -s $style --protect $protect \
            -o "$out/face-$style-$protect.png"
    done
done
$python -m sigstyle generate "a photo of mountains" -s great-wave --seed 3 -o "$out/mountains.png"
$python -m sigstyle generate "a photo of the sea" -s cafe-terrace --seed 1 -o "$out/sea.png"
photos=()
for photo in eiffel-tower cat neuschwanstein horses macaw colosseum; do photos+=(-c "examples/content/$photo.jpg"); done
$python -m sigstyle batch "${photos[@]}" --size-px 512 \
    -s cafe-terrace -s church-auvers -s composition-viii -s great-wave \
    -s harvesters -s line-engraving -s moon-tarot -s poppies \
    -s summertime -s tarascon -s unicorn-tapestry -s woodcut -o "$out/gallery"

$python -m sigstyle transfer examples/content/eiffel-tower.jpg -s tarascon --point 20%,20% -o "$out/sky.png"
$python -m sigstyle transfer examples/content/cat.jpg -s church-auvers --background -o "$out/background.png"
$python -m sigstyle transfer examples/content/neuschwanstein.jpg \
    --region subject=church-auvers --region background=great-wave -o "$out/regions.png"
$python -m sigstyle transfer examples/content/cat.jpg -s tarascon --subject --texture style -o "$out/texture.png"
for style in tarascon line-engraving great-wave; do
    $python -m sigstyle texture "$style" -o "$out/tile-$style.png" --size 512 --seamless
done
$python -m sigstyle transfer examples/content/mont-st-michel.jpg -s tarascon -s great-wave \
    --gradient left-right -o "$out/gradient.png"
$python -m sigstyle transfer examples/content/colosseum.jpg -s line-engraving --palette-from poppies -o "$out/palette.png"
$python -m benchmarks.triangle examples/content/neuschwanstein.jpg tarascon great-wave church-auvers -o docs/fusion.jpg

$python - "$out" <<'PYTHON'
import sys
from pathlib import Path

from PIL import Image

out = Path(sys.argv[1])
for name in ("castle", "cat", "tower", "blend"):
    Image.open(out / f"{name}.png").convert("RGB").save(f"docs/{name}.jpg", quality=88, optimize=True)
faces = [f"face-{style}-{protect}" for style in ("great-wave", "church-auvers") for protect in ("none", "auto")]
for name, parts, height, quality in (("faces", faces, 330, 86), ("prompts", ["mountains", "sea"], 512, 80)):
    canvas = Image.new("RGB", (1024, height * (len(parts) // 2)))
    for place, part in enumerate(parts):
        tile = Image.open(out / f"{part}.png").convert("RGB").crop((0, 0, 512, height))
        canvas.paste(tile, (512 * (place % 2), height * (place // 2)))
    canvas.save(f"docs/{name}.jpg", quality=quality, optimize=True)
for name in ("sky", "background", "regions", "texture", "gradient", "palette"):
    picture = Image.open(out / f"{name}.png").convert("RGB")
    picture.thumbnail((800, 800))
    picture.save(f"docs/{name}.jpg", quality=85, optimize=True)
tiles = Image.new("RGB", (3 * 320 + 2 * 8, 320), "white")
for place, name in enumerate(("tarascon", "line-engraving", "great-wave")):
    tile = Image.open(out / f"tile-{name}.png").convert("RGB").resize((160, 160), Image.Resampling.LANCZOS)
    for left, top in ((0, 0), (160, 0), (0, 160), (160, 160)):
        tiles.paste(tile, (place * 328 + left, top))
tiles.save("docs/tiles.jpg", quality=88, optimize=True)
sheet = Image.open(out / "gallery" / "contact-sheet.png").convert("RGB")
sheet.thumbnail((2400, 3200))
sheet.save("docs/gallery.jpg", quality=85, optimize=True)
PYTHON
