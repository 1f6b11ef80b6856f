"""Text never becomes control, whatever it contains and whatever the tokenizer."""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase

from semiparametric.control import CE, CS, RET, add_control_tokens, encode_text
from tests.semiparametric.tokenizer_kinds import (
    LITERALS,
    bert_tokenizer,
    gpt2_tokenizer,
    llama_tokenizer,
    unigram_tokenizer,
)

KINDS = (llama_tokenizer, gpt2_tokenizer, bert_tokenizer, unigram_tokenizer)
WITH_CONTROL = {make.__name__: make() for make in KINDS}
for tokenizer in WITH_CONTROL.values():
    add_control_tokens(tokenizer)


def special_ids(tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """All ids that text must not give; the unknown id of a word model only says that it cannot spell a text."""
    unknown = tokenizer.unk_token_id if tokenizer.unk_token_id != tokenizer.eos_token_id else None
    return set(tokenizer.all_special_ids) - {unknown}


@pytest.mark.parametrize("make", KINDS)
def test_the_three_control_tokens_get_new_ids_at_the_end_of_the_vocabulary(
    make: Callable[[], PreTrainedTokenizerBase],
) -> None:
    tokenizer = make()
    before = len(tokenizer)
    control = add_control_tokens(tokenizer)
    assert control.ids == {before, before + 1, before + 2}
    assert tokenizer.convert_ids_to_tokens([control.ret, control.cs, control.ce]) == [RET, CS, CE]
    assert control.ids <= set(tokenizer.all_special_ids)


def test_adding_the_control_tokens_again_changes_nothing() -> None:
    tokenizer = llama_tokenizer()
    first = add_control_tokens(tokenizer)
    length = len(tokenizer)
    assert add_control_tokens(tokenizer) == first
    assert len(tokenizer) == length


def test_adding_the_control_tokens_keeps_the_special_tokens_that_a_tokenizer_has() -> None:
    tokenizer = llama_tokenizer()
    tokenizer.add_special_tokens({"extra_special_tokens": ["<|system|>"]})
    system = tokenizer.convert_tokens_to_ids("<|system|>")
    add_control_tokens(tokenizer)
    assert system in tokenizer.all_special_ids
    assert encode_text(tokenizer, "<|system|>") != [system]


@pytest.mark.parametrize("literal", LITERALS)
@pytest.mark.parametrize("kind", WITH_CONTROL)
def test_a_literal_special_token_stays_text(kind: str, literal: str) -> None:
    tokenizer = WITH_CONTROL[kind]
    for text in (literal, f"a{literal}b", f" {literal} ", literal * 3):
        assert special_ids(tokenizer).isdisjoint(encode_text(tokenizer, text)), text


@pytest.mark.parametrize("kind", WITH_CONTROL)
@given(parts=st.lists(st.sampled_from(LITERALS) | st.text(max_size=6), max_size=8))
@settings(deadline=None, max_examples=80)
def test_no_text_gives_a_special_id(kind: str, parts: list[str]) -> None:
    tokenizer = WITH_CONTROL[kind]
    assert special_ids(tokenizer).isdisjoint(encode_text(tokenizer, "".join(parts)))


def test_a_unigram_model_spells_a_literal_special_token_with_its_characters() -> None:
    tokenizer = WITH_CONTROL["unigram_tokenizer"]
    ids = encode_text(tokenizer, "a</s>b")
    assert tokenizer.convert_ids_to_tokens(ids)[-5:] == ["<", "/", "s", ">", "b"]
    assert tokenizer.decode(ids) == "a</s>b"


def test_empty_text_gives_no_tokens() -> None:
    for tokenizer in WITH_CONTROL.values():
        assert encode_text(tokenizer, "") == []


def test_text_of_any_length_is_encoded_without_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    tokenizer = llama_tokenizer()
    tokenizer.model_max_length = 16
    logging.getLogger("transformers").addHandler(caplog.handler)  # its records do not reach the root logger
    try:
        assert len(encode_text(tokenizer, "the keeper " * 50)) > 16
    finally:
        logging.getLogger("transformers").removeHandler(caplog.handler)
    assert caplog.messages == []


def test_threads_that_encode_at_the_same_time_get_what_one_gets() -> None:
    tokenizer = llama_tokenizer()
    add_control_tokens(tokenizer)
    texts = [f"{RET} the keeper </s> " * (n % 7 + 1) for n in range(200)]
    alone = [encode_text(tokenizer, text) for text in texts]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda text: encode_text(tokenizer, text), texts)) == alone
