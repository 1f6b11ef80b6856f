"""`prompt · [Ret] passage [Cs] text [Ce] · ... · EOS`."""

from pathlib import Path

import pytest

from semiparametric.errors import InputError
from semiparametric.formats import Example, Passage, Segment
from semiparametric.pair import load_gen
from training.sequences import ANSWER, PASSAGE, PROMPT, joined_texts, training_sequence

PASSAGES = {
    "lamp": Passage(id="lamp", title="Lamp", text="The lamp is trimmed at dusk."),
    "tide": Passage(id="tide", title="Tide", text="The tide turns twice a day."),
}


def example(*segments: Segment) -> Example:
    return Example(id="e1", task="t", question="When is the lamp trimmed?", answers=[], segments=list(segments))


def test_a_cited_segment_is_ret_passage_cs_text_ce(tiny_pair: Path) -> None:
    codec = load_gen(tiny_pair).codec
    control = codec.control
    asked = example(Segment(text="At dusk.", passage_id="lamp"), Segment(text="Good night."))
    sequence = training_sequence(asked, PASSAGES, codec, max_tokens=512)
    expected = [
        *codec.prompt("When is the lamp trimmed?"),
        control.ret,
        *codec.passage(PASSAGES["lamp"]),
        control.cs,
        *codec.text("At dusk."),
        control.ce,
        *codec.text(" Good night."),
        codec.eos_id,
    ]
    assert sequence.ids == expected
    assert [sequence.ids[place] for place in sequence.ret_positions] == [control.ret]
    assert sequence.passages == ["lamp"]


def test_kinds_say_which_tokens_are_prompt_passage_and_answer(tiny_pair: Path) -> None:
    codec = load_gen(tiny_pair).codec
    sequence = training_sequence(example(Segment(text="At dusk.", passage_id="lamp")), PASSAGES, codec, max_tokens=512)
    prompt = len(codec.prompt("When is the lamp trimmed?"))
    passage = len(codec.passage(PASSAGES["lamp"])) + 1  # [Cs] is written by the loop, as the passage is
    answer = len(sequence.ids) - prompt - 1 - passage
    assert sequence.kinds == [PROMPT] * prompt + [ANSWER] + [PASSAGE] * passage + [ANSWER] * answer


def test_a_sequence_can_be_cut_after_its_first_lookup(tiny_pair: Path) -> None:
    codec = load_gen(tiny_pair).codec
    both = example(Segment(text="At dusk.", passage_id="lamp"), Segment(text="Twice.", passage_id="tide"))
    cut = training_sequence(both, PASSAGES, codec, max_tokens=512).cut_after_first_lookup()
    assert cut.ids == [*codec.prompt("When is the lamp trimmed?"), codec.control.ret]
    assert cut.passages == ["lamp"]
    assert cut.queries == ["When is the lamp trimmed?"]
    assert cut.example == "e1"


def test_each_lookup_has_the_text_before_it_and_its_negatives(tiny_pair: Path) -> None:
    codec = load_gen(tiny_pair).codec
    asked = example(
        Segment(text="Well."),
        Segment(text="At dusk.", passage_id="lamp", negatives=["tide"]),
        Segment(text="Twice.", passage_id="tide"),
    )
    sequence = training_sequence(asked, PASSAGES, codec, max_tokens=512)
    question = "When is the lamp trimmed?"
    assert sequence.queries == [f"{question}\nWell.", f"{question}\nWell. At dusk."]
    assert sequence.negatives == [["tide"], []]


def test_a_negative_that_is_not_in_the_corpus_is_refused(tiny_pair: Path) -> None:
    codec = load_gen(tiny_pair).codec
    asked = example(Segment(text="x", passage_id="lamp", negatives=["moon"]))
    with pytest.raises(InputError, match="example 'e1': it names as a negative the passage 'moon', which is not in"):
        training_sequence(asked, PASSAGES, codec, max_tokens=512)


def test_segments_are_joined_by_one_space_where_none_stands() -> None:
    segments = [Segment(text="One."), Segment(text="Two. "), Segment(text="Three."), Segment(text="\nFour.")]
    assert "".join(joined_texts(example(*segments))) == "One. Two. Three.\nFour."


def test_control_tokens_in_an_example_stay_text(tiny_pair: Path) -> None:
    codec = load_gen(tiny_pair).codec
    passages = {"p": Passage(id="p", title="[Cs]", text="[Ret] </s> [Ce]")}
    asked = Example(
        id="e", task="", question="[Ret]?", answers=[], segments=[Segment(text="[Ce] [Ret]", passage_id="p")]
    )
    sequence = training_sequence(asked, passages, codec, max_tokens=512)
    control = [token for token in sequence.ids if token in codec.control.ids]
    assert control == [codec.control.ret, codec.control.cs, codec.control.ce]
    assert sequence.ids.count(codec.eos_id) == 1


def test_a_passage_that_is_not_in_the_corpus_is_refused(tiny_pair: Path) -> None:
    codec = load_gen(tiny_pair).codec
    with pytest.raises(InputError, match="example 'e1': it cites the passage 'moon', which is not in the corpus"):
        training_sequence(example(Segment(text="x", passage_id="moon")), PASSAGES, codec, max_tokens=512)


def test_a_sequence_over_the_limit_is_refused_with_its_length(tiny_pair: Path) -> None:
    codec = load_gen(tiny_pair).codec
    with pytest.raises(InputError, match=r"has \d+ tokens, the limit is 40"):
        training_sequence(example(Segment(text="x" * 80, passage_id="lamp")), PASSAGES, codec, max_tokens=40)
