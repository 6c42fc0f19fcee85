"""Settings of all that is learned and painted; command line flags, UI controls and recipes derive from these fields.

Every field carries metadata: `help` (text), and `low`/`high` (inclusive numbers) or `choices` (strings).
"""

from sigstyle.config.capture import (
    AUTO,
    AUTO_STEPS,
    DECAYS,
    GENERATORS,
    STARTS,
    TARGET_GROUPS,
    UNTIL,
    CaptureConfig,
    CollectionConfig,
)
from sigstyle.config.prompts import PROMPT_METHODS, GenerateConfig
from sigstyle.config.texture import TextureConfig
from sigstyle.config.training_free import TrainingFreeConfig
from sigstyle.config.transfer import METHODS, MOST_TRIES, PROTECTED, SWAPS, TransferConfig
from sigstyle.config.wording import AUTOCAST, MOST_PAINTING_STEPS

__all__ = [
    "AUTO", "AUTOCAST", "AUTO_STEPS", "DECAYS", "GENERATORS", "METHODS", "MOST_PAINTING_STEPS", "MOST_TRIES",
    "PROMPT_METHODS", "PROTECTED", "STARTS", "SWAPS", "TARGET_GROUPS", "UNTIL", "CaptureConfig", "CollectionConfig",
    "GenerateConfig", "TextureConfig", "TrainingFreeConfig", "TransferConfig",
]  # fmt: skip
