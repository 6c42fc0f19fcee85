"""Words and choices that several settings share."""

from sigstyle.settings import Alias

AUTOCAST = ("auto", "on", "off")
HOLDINGS = ("exact", "penalty")
MOST_PAINTING_STEPS = 8
READS = "; a base reads 75 tokens, some 50 words with those of the style, and a notice quotes what is cut"
VARIATION = Alias("seed", "another number is another set of strokes")
WORDS = {
    "colour": Alias("palette", "whose colours: 0 the photo's, 1 the style's"),
    "keep": Alias("freedom", "how much of the photo is kept: 1 all that can be, 0 little", inverse=True),
    "variation": VARIATION,
}
