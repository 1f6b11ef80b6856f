"""The KILT knowledge source: how a Wikipedia page becomes passages, so that corpus and examples name the same ones."""

from collections.abc import Iterator, Sequence

from semiparametric.formats import Passage

_HEADING = "Section::::"
_BULLET = "BULLET::::-"


def kilt_passages(wikipedia_id: str, title: str, text: Sequence[str]) -> Iterator[tuple[int, Passage]]:
    """The paragraphs of a page with their numbers; paragraph n is the passage `<wikipedia_id>-<n>`.

    The first one, which repeats the title, and headings become none.
    """
    for number, paragraph in enumerate(text):
        words = paragraph.strip().removeprefix(_BULLET).strip()
        if number == 0 or not words or words.startswith(_HEADING):
            continue
        yield (
            number,
            Passage(
                id=f"{wikipedia_id}-{number}",
                title=title,
                text=words,
                source=f"https://en.wikipedia.org/?curid={wikipedia_id}",
                metadata={
                    "wikipedia_id": wikipedia_id,
                    "start_paragraph_id": number,
                    "end_paragraph_id": number,
                },
            ),
        )
