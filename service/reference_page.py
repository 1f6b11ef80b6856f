"""The reference of the HTTP API as the page at `/docs`: what docs/api.md says, with a table of contents."""

import html
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from itertools import pairwise
from string import Template
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

from service.api_markdown import api_markdown

_LEVELS = {"h1": "h2", "h2": "h3"}  # the page has a heading of its own above them


def reference_page(document: Mapping[str, Any]) -> str:
    """The page for an OpenAPI document. It runs no script and needs nothing but the files of the service's page."""
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")  # what the document says is text
    tokens = markdown.parse(api_markdown(document))
    contents = _headings(tokens)
    page = Template(files("service").joinpath("reference_page.html").read_text("utf-8"))
    return page.substitute(
        contents=_contents(contents), reference=markdown.renderer.render(tokens, markdown.options, {})
    )


def _headings(tokens: Sequence[Token]) -> list[tuple[str, str]]:
    """Move each heading a level down and name it, so that links find it; tag and text of each."""
    found = []
    for token, text in pairwise(tokens):
        if token.type == "heading_open":
            found.append((token.tag, text.content))
            token.attrSet("id", _anchor(text.content))
        if token.type.startswith("heading_"):
            token.tag = _LEVELS[token.tag]
    return found


def _contents(headings: Sequence[tuple[str, str]]) -> str:
    lines: list[str] = []
    for tag, text in headings:
        if tag == "h1":
            lines += ["</ul>"] * bool(lines) + [f"<h2>{html.escape(text)}</h2>", "<ul>"]
        else:
            lines.append(f'<li><a href="#{_anchor(text)}">{html.escape(text)}</a></li>')
    return "\n".join([*lines, "</ul>"])


def _anchor(text: str) -> str:
    """The name of a heading, as Markdown's readers make it."""
    return re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-")
