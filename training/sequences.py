"""An example as a training sequence: `prompt · [Ret] passage [Cs] text [Ce] · ... · EOS`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from semiparametric.codec import Codec
from semiparametric.errors import InputError
from semiparametric.formats import Example, Passage, Segment
from semiparametric.query_text import query_text

PROMPT, PASSAGE, ANSWER = 0, 1, 2
"""What a token is: `PASSAGE` includes `[Cs]` (the loop writes both), `ANSWER` includes `[Ret]`, `[Ce]` and EOS."""


@dataclass
class TrainingSequence:
    """Token ids with what each token is, and where the lookups are.

    Attributes:
        ids: Token ids.
        kinds: `PROMPT`, `PASSAGE` or `ANSWER`, one for each token.
        ret_positions: Position of each `[Ret]`.
        passages: The id of the passage that belongs at each `[Ret]`.
        negatives: The ids of the hard negatives of each `[Ret]`.
        queries: The text so far at each `[Ret]`, for pairs that look up with text.
        example: The id of the example; empty for text of the corpus.
        is_cut: Whether it was cut after its first `[Ret]`.
    """

    ids: list[int] = field(default_factory=list)
    kinds: list[int] = field(default_factory=list)
    ret_positions: list[int] = field(default_factory=list)
    passages: list[str] = field(default_factory=list)
    negatives: list[list[str]] = field(default_factory=list)
    queries: list[str] = field(default_factory=list)
    example: str = ""
    is_cut: bool = False

    def add(self, ids: list[int], kind: int) -> None:
        """Append tokens of one kind."""
        self.ids += ids
        self.kinds += [kind] * len(ids)

    def cut_after_first_lookup(self) -> "TrainingSequence":
        """The sequence up to and including its first `[Ret]`: all that the first lookup depends on."""
        end = self.ret_positions[0] + 1 if self.ret_positions else len(self.ids)
        return TrainingSequence(
            self.ids[:end],
            self.kinds[:end],
            self.ret_positions[:1],
            self.passages[:1],
            self.negatives[:1],
            self.queries[:1],
            self.example,
            is_cut=True,
        )


def joined_texts(example: Example) -> list[str]:
    """The segments' texts, with one space between neighbours that have no white space between them."""
    texts: list[str] = []
    for segment in example.segments:
        touching = bool(texts) and not texts[-1][-1:].isspace() and not segment.text[:1].isspace()
        texts.append(f" {segment.text}" if touching else segment.text)
    return texts


def training_sequence(
    example: Example, passages: Mapping[str, Passage], codec: Codec, *, max_tokens: int
) -> TrainingSequence:
    """Build the training sequence of an example.

    Raises:
        InputError: A passage that it cites or names as a negative is not in the corpus, or the sequence is longer than
            `max_tokens`.
    """
    sequence = TrainingSequence(example=example.id)
    sequence.add(codec.prompt(example.question), PROMPT)
    answer = ""
    for segment, text in zip(example.segments, joined_texts(example), strict=True):
        if segment.passage_id is None:
            sequence.add(codec.text(text), ANSWER)
        else:
            passage = _cited(segment, example, passages)
            sequence.ret_positions.append(len(sequence.ids))
            sequence.passages.append(segment.passage_id)
            sequence.negatives.append(list(segment.negatives))
            sequence.queries.append(query_text(example.question, answer))
            sequence.add([codec.control.ret], ANSWER)
            sequence.add([*codec.passage(passage), codec.control.cs], PASSAGE)
            sequence.add([*codec.text(text), codec.control.ce], ANSWER)
        answer += text
    sequence.add([codec.eos_id], ANSWER)
    if len(sequence.ids) > max_tokens:
        raise InputError(
            f"its training sequence has {len(sequence.ids)} tokens, the limit is {max_tokens}",
            where=f"example {example.id!r}",
            remedy="Raise `max_tokens`, lower `passage_max_tokens`, or shorten its segments",
        )
    return sequence


def _cited(segment: Segment, example: Example, passages: Mapping[str, Passage]) -> Passage:
    """The passage of a cited segment, once it and the segment's negatives are found in the corpus."""
    named = [(str(segment.passage_id), "cites"), *((name, "names as a negative") for name in segment.negatives)]
    for name, verb in named:
        if name not in passages:
            raise InputError(
                f"it {verb} the passage {name!r}, which is not in the corpus",
                where=f"example {example.id!r}",
                remedy="Add the corpus that holds it to `corpus`",
            )
    return passages[str(segment.passage_id)]
