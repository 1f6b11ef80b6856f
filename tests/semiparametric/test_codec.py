"""Between text and Gen's ids: prompts, passages, answers, and back."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase

from semiparametric.codec import Codec
from semiparametric.control import CE, CS, RET, add_control_tokens
from semiparametric.errors import PairError
from semiparametric.formats import Passage
from semiparametric.spec import PairSpec, PassageForm, PromptForm
from tests.semiparametric.tokenizer_kinds import LITERALS, bert_tokenizer, gpt2_tokenizer, llama_tokenizer

ANY_TEXT = st.lists(st.sampled_from(LITERALS) | st.text(max_size=6), max_size=8).map("".join)


def codec_of(
    tokenizer: PreTrainedTokenizerBase, *, prompt: PromptForm | None = None, passage: PassageForm | None = None
) -> Codec:
    control = add_control_tokens(tokenizer)
    spec = PairSpec(
        control=control, dimension=8, prompt=prompt or PromptForm(), passage=passage or PassageForm(max_tokens=64)
    )
    return Codec(tokenizer, spec)


CODECS = {"llama": codec_of(llama_tokenizer()), "gpt2": codec_of(gpt2_tokenizer())}


@pytest.mark.parametrize("kind", CODECS)
@given(title=ANY_TEXT, text=ANY_TEXT)
@settings(deadline=None, max_examples=80)
def test_questions_passages_and_answers_never_become_control(kind: str, title: str, text: str) -> None:
    codec = CODECS[kind]
    special = set(codec.tokenizer.all_special_ids)
    assert codec.control.ids <= special
    beginning, *question = codec.prompt(title + text)
    assert beginning == codec.tokenizer.bos_token_id
    assert special.isdisjoint(question)
    assert special.isdisjoint(codec.passage(Passage(id=title + "p", title=title, text=text + ".")))
    assert special.isdisjoint(codec.text(text))


@pytest.mark.parametrize("kind", CODECS)
@given(text=ANY_TEXT)
@settings(deadline=None, max_examples=80)
def test_text_comes_back_exactly_from_its_ids(kind: str, text: str) -> None:
    codec = CODECS[kind]
    assert codec.decode(codec.text(text)) == text


@pytest.mark.parametrize(
    "text", ["灯台の光 🗼", "e\u0301 and é", "עברית \u202e mixed", "a ,b . c 's", "\ttabs\n\n lines \r\n"]
)
@pytest.mark.parametrize("kind", CODECS)
def test_no_script_and_no_white_space_is_changed_on_the_way(kind: str, text: str) -> None:
    codec = CODECS[kind]
    assert codec.decode(codec.text(text)) == text


def test_decoding_leaves_out_control_and_special_tokens_but_keeps_their_literals() -> None:
    codec = CODECS["llama"]
    control = codec.control
    ids = [
        codec.tokenizer.bos_token_id,
        *codec.text(f"See {RET}: "),
        control.ret,
        control.cs,
        *codec.text("the lamp"),
        control.ce,
        *codec.text(f" {CS}{CE}</s>."),
        codec.eos_id,
    ]
    assert codec.decode(ids) == f"See {RET}: the lamp {CS}{CE}</s>."
    assert codec.decode([]) == ""


def test_a_prompt_is_the_beginning_token_and_the_prompt_form() -> None:
    codec = codec_of(llama_tokenizer(), prompt=PromptForm(instruction="Answer.\n"))
    ids = codec.prompt("Who writes the log?")
    assert ids[0] == codec.tokenizer.bos_token_id
    assert codec.decode(ids) == "Answer.\n## Input:\n\nWho writes the log?## Output:\n\n"


def test_a_tokenizer_without_a_beginning_token_begins_with_the_prompt_form() -> None:
    tokenizer = llama_tokenizer()
    tokenizer.bos_token = None
    codec = codec_of(tokenizer)
    assert codec.prompt("Why?") == codec.text("## Input:\n\nWhy?## Output:\n\n")


@pytest.mark.parametrize("question", ["{question}", "{instruction}", "{", "}}", "%s {0}"])
def test_braces_in_a_question_are_text(question: str) -> None:
    codec = codec_of(llama_tokenizer(), prompt=PromptForm(template="Q: {question} A:"))
    assert codec.decode(codec.prompt(question)) == f"Q: {question} A:"


def test_a_passage_is_its_form_cut_to_the_limit() -> None:
    codec = codec_of(llama_tokenizer(), passage=PassageForm(max_tokens=10))
    short = Passage(id="1", title="Tide", text="It turns.")
    assert codec.decode(codec.passage(short)).startswith("Tide :: ")
    long = Passage(id="2", title="Tide", text="The tide turns twice a day. " * 50)
    assert codec.passage(long) == codec.text(f"Tide :: {long.text}")[:10]


def test_a_passage_form_without_the_title_shows_the_text_only() -> None:
    codec = codec_of(llama_tokenizer(), passage=PassageForm(template="{text}"))
    assert codec.decode(codec.passage(Passage(id="1", title="{text}", text="{title}"))) == "{title}"


def test_a_tokenizer_without_an_end_token_is_refused() -> None:
    with pytest.raises(PairError, match=r"no end-of-sequence token. Set eos_token in its tokenizer"):
        codec_of(bert_tokenizer())
