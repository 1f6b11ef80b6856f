"""Plain text: paragraphs between blank lines."""

import re

from index_builder.documents import Section, SectionCollector

_BLANK_LINES = re.compile(r"\n[ \t]*\n")
_OWN_LINE = re.compile(r"^(\s+|[-*•]\s|\d+[.)]\s)", re.MULTILINE)


def read_plain(text: str, name: str) -> list[Section]:
    """One section, titled by the file's name.

    Lines of a paragraph are joined, unless some are indented or begin a list item: then each line stands for itself.
    """
    collector = SectionCollector(name)
    for paragraph in _BLANK_LINES.split(text):
        lines = paragraph.strip("\n").splitlines()
        if _OWN_LINE.search(paragraph.strip("\n")):
            for line in lines:
                collector.block(line)
        else:
            collector.block(" ".join(line.strip() for line in lines))
    return collector.sections()
