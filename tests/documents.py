"""Reading the project's Markdown: links, code blocks and the commands in them."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "examples/**/*.md", "models/*/*.md", "benchmarks/**/*.md")
    for path in ROOT.glob(pattern)
)


def tokens_of(text: str) -> Iterator[Token]:
    """All block and inline tokens, in order."""
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        yield token
        yield from token.children or []


def links_of(text: str) -> list[str]:
    """Targets of links that point into this repository, without their fragments."""
    targets = (str(token.attrs["href"]) for token in tokens_of(text) if token.type == "link_open")
    return [target.split("#")[0] for target in targets if "://" not in target and not target.startswith("#")]


def section_of(text: str, heading: str) -> str:
    """The text under one second-level heading."""
    parts = re.split(r"^## ", text, flags=re.MULTILINE)
    return next(part for part in parts if part.splitlines()[0] == heading)


def blocks_of(text: str, language: str) -> list[str]:
    """The contents of the fenced blocks of a language."""
    return [token.content for token in tokens_of(text) if token.type == "fence" and token.info == language]


def commands_of(text: str, program: str) -> list[list[str]]:
    """Arguments of each call of a program in the shell blocks, also after `nice` and the like or behind a folder."""
    calls = []
    for block in blocks_of(text, "bash"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            starts = [at for at, word in enumerate(words) if word == program or word.endswith(f"/bin/{program}")]
            calls += [words[starts[0] + 1 :]] if starts else []
    return calls
