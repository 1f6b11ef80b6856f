"""Markdown, parsed by markdown-it: headings, paragraphs, list items, table rows, code."""

import re
from collections.abc import Sequence
from itertools import pairwise

import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token

from index_builder.documents import Section, SectionCollector
from index_builder.readers.html import html_text

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?\n)?(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_LONGEST_FRONT_MATTER = 1 << 16  # characters: the YAML parser reads no more than some thousand in a second
_PARSER = MarkdownIt("commonmark").enable("table")


def read_markdown(text: str, name: str) -> list[Section]:
    """One section per heading. The page is titled by its front matter, its first top heading or its file's name."""
    front_matter = _FRONT_MATTER.match(text)
    tokens = _PARSER.parse(text[front_matter.end() :] if front_matter else text)
    given = _given_title(front_matter.group(1) or "") if front_matter else None
    collector = SectionCollector(given or _first_top_heading(tokens) or name)
    row: list[str] = []
    for token, before in zip(tokens, [None, *tokens], strict=False):
        if token.type == "inline" and before is not None:
            if before.type == "heading_open":
                collector.heading(int(before.tag[1]), inline_text(token))
            elif before.type in {"th_open", "td_open"}:
                row.append(inline_text(token))
            else:
                collector.block(inline_text(token))
        elif token.type == "tr_close":
            collector.block(" | ".join(row))
            row = []
        elif token.type in {"fence", "code_block"}:
            collector.block(token.content, verbatim=True)
        elif token.type == "html_block":
            collector.block(html_text(token.content))
    return collector.sections()


def inline_text(token: Token) -> str:
    """What a reader sees of an inline token: no marks, no addresses."""
    pieces = []
    for child in token.children or []:
        if child.type in {"softbreak", "hardbreak"}:
            pieces.append(" ")
        elif child.type in {"text", "code_inline", "image"}:  # an image's content is its alternative text
            pieces.append(child.content)
    return "".join(pieces)


def _first_top_heading(tokens: Sequence[Token]) -> str | None:
    """The first `#` heading's text."""
    for token, after in pairwise(tokens):
        if token.type == "heading_open" and token.tag == "h1":
            return inline_text(after) or None
    return None


def _given_title(front_matter: str) -> str | None:
    if len(front_matter) > _LONGEST_FRONT_MATTER:
        return None
    try:
        values = yaml.safe_load(front_matter)
    except (yaml.YAMLError, ValueError, RecursionError):
        # Front matter belongs to other tools; only its title would have been of use. A day that no month has is a
        # ValueError.
        return None
    title = values.get("title") if isinstance(values, dict) else None
    return title if isinstance(title, str) else None
