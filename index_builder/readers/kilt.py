"""The KILT knowledge source: one Wikipedia page on each line, its paragraphs under `text`."""

from collections.abc import Iterator

from pydantic import Field

from index_builder.readers.json_lines import PassageLines
from semiparametric.formats import Passage, SourceRecord, parse_json
from semiparametric.kilt import kilt_passages


class _Page(SourceRecord):
    wikipedia_id: str = Field(min_length=1, max_length=1000)
    wikipedia_title: str
    text: list[str]


class KiltPages(PassageLines):
    """The paragraph n of a page becomes the passage `<wikipedia_id>-<n>`, by which the KILT examples cite it.

    The first one, which repeats the title, and headings become none.
    """

    def passages(self, raw: bytes, where: str) -> Iterator[Passage]:
        """The passages of a page."""
        page = parse_json(raw, _Page, where)
        for _, passage in kilt_passages(page.wikipedia_id, page.wikipedia_title, page.text):
            yield passage
