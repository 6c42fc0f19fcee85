import copy
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from conftest import TEXT_DIM, make_text_encoder, make_tokenizer
from torch import Tensor

from sigstyle.base.model import BaseModel
from sigstyle.base.prompts import (
    StyleToken,
    embed_prompts,
    starting_embedding,
    style_prompt,
    token_for,
    tokenize,
)
from sigstyle.base.reader import PromptReader
from sigstyle.errors import ConfigError

PROMPT = "a cat in the style of <wave>"


def encode_prompts(tokenizer: Any, encoder: Any, texts: list[str], tokens: Sequence[StyleToken] = ()) -> Tensor:
    return PromptReader((tokenizer,), (encoder,)).encode(texts, tokens).embeds


def wave(n: int = 1, token: str = "<wave>") -> StyleToken:
    return StyleToken(token, torch.randn(n, TEXT_DIM))


@torch.no_grad()
def test_without_tokens_it_is_the_text_encoder_itself(base: BaseModel) -> None:
    ids = base.tokenizer(
        ["a cat", ""], padding="max_length", max_length=77, truncation=True, return_tensors="pt"
    ).input_ids
    assert torch.equal(encode_prompts(base.tokenizer, base.text_encoder, ["a cat", ""]), base.text_encoder(ids)[0])


@torch.no_grad()
def test_equal_to_a_text_encoder_whose_vocabulary_was_extended() -> None:
    tokenizer, token = make_tokenizer(), wave()
    encoder: Any = make_text_encoder(tokenizer).eval()
    ours = encode_prompts(tokenizer, encoder, [PROMPT], [token])
    tokenizer.add_tokens(["<wave>"])
    encoder.resize_token_embeddings(len(tokenizer))
    encoder.get_input_embeddings().weight[-1] = token.embedding[0]
    ids = tokenizer([PROMPT], padding="max_length", max_length=77, return_tensors="pt").input_ids
    assert torch.allclose(ours, encoder(ids)[0], atol=1e-6)


def test_neither_tokenizer_nor_text_encoder_is_changed(base: BaseModel) -> None:
    size, state = len(base.tokenizer), copy.deepcopy(base.text_encoder.state_dict())
    encode_prompts(base.tokenizer, base.text_encoder, [PROMPT], [wave()])
    assert len(base.tokenizer) == size
    assert all(torch.equal(value, state[key]) for key, value in base.text_encoder.state_dict().items())
    assert not base.text_encoder.get_input_embeddings()._forward_hooks


def test_the_hook_is_removed_after_an_error(base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = tokenize(base.tokenizer, [PROMPT], [wave()])
    monkeypatch.setattr(base.text_encoder, "forward", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        embed_prompts(base.text_encoder, prompts, [wave()])
    assert not base.text_encoder.get_input_embeddings()._forward_hooks


def test_gradients_reach_the_token_only_where_it_is_used(base: BaseModel) -> None:
    vector = torch.nn.Parameter(torch.randn(1, TEXT_DIM))
    encode_prompts(base.tokenizer, base.text_encoder, [PROMPT], [StyleToken("<wave>", vector)]).sum().backward()
    assert vector.grad is not None and vector.grad.abs().sum() > 0
    vector.grad = None
    encode_prompts(base.tokenizer, base.text_encoder, ["a cat"], [StyleToken("<wave>", vector)]).sum().backward()
    assert vector.grad is None or vector.grad.abs().sum() == 0


def test_the_token_matches_whole_and_nowhere_else(base: BaseModel) -> None:
    texts = ["<wave>", "<waves>", "wave", "<WAVE>", "a<wave>", "so:<wave>, there"]
    slots = torch.cat([tokenize(base.tokenizer, [text], [wave()]).slots for text in texts[:4] + texts[5:]])
    assert (slots >= 0).sum(1).tolist() == [1, 0, 0, 0, 1]
    with pytest.raises(ConfigError, match="letters around it"):
        tokenize(base.tokenizer, ["a<wave>"], [wave()])


def test_several_tokens_and_several_vectors(base: BaseModel) -> None:
    prompts = tokenize(base.tokenizer, ["<a> and <b>", "<b>"], [wave(2, "<a>"), wave(1, "<b>")])
    assert [row[row >= 0].tolist() for row in prompts.slots] == [[0, 1, 2], [2]]
    assert int(prompts.ids.max()) < len(base.tokenizer)


def test_two_styles_of_one_token_are_refused(base: BaseModel) -> None:
    with pytest.raises(ConfigError, match="same token"):
        tokenize(base.tokenizer, [PROMPT], [wave(), wave()])


def test_a_prompt_that_pushes_the_token_out_is_refused(base: BaseModel) -> None:
    with pytest.raises(ConfigError, match="too long"):
        tokenize(base.tokenizer, ["x " * 80 + "<wave>"], [wave()])


def test_a_token_of_another_width_is_refused(base: BaseModel) -> None:
    with pytest.raises(ConfigError, match="width 5"):
        encode_prompts(base.tokenizer, base.text_encoder, [PROMPT], [StyleToken("<wave>", torch.zeros(1, 5))])


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("", "a painting in the style of <t>"),
        ("a tower.", "a tower in the style of <t>"),
        ("<t> tower", "<t> tower"),
        ("a <t> tower <t>, <t>", "a <t> tower,"),
    ],
)
def test_style_prompt_names_the_style_once(prompt: str, expected: str) -> None:
    assert style_prompt(prompt, "painting", "<t>") == expected


@pytest.mark.parametrize(
    ("name", "token"), [("Great Wave", "<great-wave>"), ("Père_Tanguy!", "<pere-tanguy>"), ("波", "<波>")]
)
def test_token_for(name: str, token: str) -> None:
    assert token_for(name) == token


@pytest.mark.parametrize("name", ["", " ", "!?"])
def test_a_name_without_letters_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="letters or digits"):
        token_for(name)


@pytest.mark.parametrize("token", ["wave", "<a b>", "<>", "<a", "<|endoftext|>"])
def test_bad_tokens_are_refused(token: str) -> None:
    with pytest.raises(ConfigError, match="style token"):
        StyleToken(token, torch.zeros(1, 4))


def test_a_token_starts_at_the_mean_of_its_word(base: BaseModel) -> None:
    table = base.text_encoder.get_input_embeddings().weight
    ids = base.tokenizer("the cat", add_special_tokens=False).input_ids
    assert torch.allclose(starting_embedding(base.tokenizer, base.text_encoder, "the cat"), table[ids].mean(0))
