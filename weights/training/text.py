"""The embedded base's tokenizer and text encoder, made from the captions."""

import json
from collections.abc import Sequence
from typing import Any

from tokenizers import Tokenizer, models, trainers
from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

START, END, WORD_END = "<|startoftext|>", "<|endoftext|>", "</w>"
MAX_TOKENS = 32
PROMPT_WORDS = """
a an the of in on at with and by from under over near style painting photo photograph drawing watercolor watercolour
oil impressionist expressionist woodblock print sketch portrait landscape seascape still life city street house castle
tower bridge church cathedral palace mountain mountains hill hills field fields river lake sea ocean wave waves beach
forest tree trees flower flowers garden sky cloud clouds sunset sunrise night morning winter summer autumn spring snow
rain storm sun moon stars cat dog horse horses cow bird birds owl fish panda parrot elephant lion man woman child girl
boy people face boat ship car train red orange yellow green blue purple pink brown black white grey gray dark light
bright colourful abstract pattern texture stone wood metal brick sand grass water fire ice old new big small art
illustration clip cartoon
""".split()  # noqa: SIM905
"""Words that prompts use; they join the captions when the vocabulary is learned."""


def learn_tokenizer(captions: Sequence[str], size: int = 2600) -> CLIPTokenizer:
    """Learn a byte-level BPE in CLIP's form; every text can be encoded, none is unknown."""
    alphabet = sorted(ByteLevel.alphabet())
    blank = CLIPTokenizer().backend_tokenizer
    learner = Tokenizer(models.BPE(continuing_subword_prefix="", end_of_word_suffix=WORD_END))
    learner.normalizer, learner.pre_tokenizer = blank.normalizer, blank.pre_tokenizer
    trainer = trainers.BpeTrainer(
        vocab_size=size, min_frequency=2, initial_alphabet=alphabet, end_of_word_suffix=WORD_END, show_progress=False
    )
    learner.train_from_iterator([*captions, *PROMPT_WORDS * 4], trainer)
    merges = [tuple(pair) for pair in _merges(learner)]
    symbols = alphabet + [letter + WORD_END for letter in alphabet]
    symbols += [left + right for left, right in merges if left + right not in set(symbols)]
    vocabulary = {symbol: index for index, symbol in enumerate(dict.fromkeys([*symbols, START, END]))}
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=merges)  # type: ignore[arg-type]
    tokenizer.model_max_length = MAX_TOKENS
    return tokenizer


def _merges(tokenizer: Tokenizer) -> list[Sequence[str]]:
    found = json.loads(tokenizer.to_str())["model"]["merges"]
    return [pair.split(" ") if isinstance(pair, str) else pair for pair in found]


def build_text_encoder(tokenizer: CLIPTokenizer, width: int, layers: int) -> CLIPTextModel:
    """A small CLIP text model over ``tokenizer``, with random weights."""
    ids: dict[str, Any] = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=max(1, width // 32),
        max_position_embeddings=MAX_TOKENS,
        projection_dim=width,
        **ids,
    )
    return CLIPTextModel(config)
