"""The first sentence of a docstring, freed of markup and of the signature that some docstrings start with."""

import re
from collections.abc import Iterator

LONGEST_SENTENCE = 30  # words; a longer one is cut at a clause, or not used

_ROLE = re.compile(r":[a-zA-Z:]+:`~?([^`<]+?)(?:\s*<[^`]*>)?`")
_SIGNATURE_LINE = re.compile(
    r"^[\w.\[\]]+\([^\n]*?\)(?:\s*(?:-+>|=>|--|:)\s*(?P<result>[^\n]*(?:\n(?!\n|[\w.]+\()[^\n]+)*))?\s*(?:\n|$)"
)
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[]?[\w*`])")
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|vs|cf|approx|opt|arg|args|incl|esp|max|min|No|resp|St|Mr|Dr|a\.k\.a)|\b[A-Za-z]|\.\.)\.$"
)
_CLAUSE_END = re.compile(r"; | -- | - | \(|: |, ")
_DASHED_NAME = re.compile(r"^(?:[\w.]+\s+(?:--+|-|:)|\w*[._][\w.]*:|Internal:)\s+(?=\w)")
_NOT_PROSE = re.compile(
    r"^(?:>>>|\.\. |[-=*~^+]{3,}|[@|+#$<{\[\-]|\d+[.)]\s|\w+ = |\w+\([^ ]*$|[\w ]{1,20} [-=~]{3,}|"
    r"(?:Args|Arguments|Params|Parameters|Returns?|Yields|Raises|Examples?|Usage|Notes?|Attributes|Shape|Inputs?|Outputs?|"
    r"References?|See also|Keyword \w+|Supported \w+|TODO)\s*:|\w+ \(\w[^)]*\)\s*:|"
    r"\w+ \((?:torch|np|bool|int|str|float|list|dict|tuple|union|optional)\b)",
    re.IGNORECASE,
)
_USAGE_LINE = re.compile(
    r"^[^\s.]+(?: [\[(|<.][^\n]*| [a-z_]+)?\n(?=[A-Z][a-z]+ )"
)  # as in pdb: "b(reak) [...]", then prose


def plain(text: str) -> str:
    """Return text on one line without reStructuredText and Markdown marks."""
    text = _ROLE.sub(r"\1", text)
    text = re.sub(r"``([^`]+)``|`([^`\s][^`]*)`", lambda found: found[1] or found[2], text)
    text = re.sub(r"(?<![\w*])\*{1,2}([A-Za-z_]\w*)\*{1,2}(?![\w*])", r"\1", text)
    return " ".join(text.replace("`", "").split())


def sentences(text: str) -> Iterator[str]:
    """Yield the sentences of one paragraph."""
    start = 0
    for found in _SENTENCE_END.finditer(text):
        if not _ABBREVIATION.search(text[start : found.start()]):
            yield text[start : found.end()].strip()
            start = found.end()
    if text[start:].strip():
        yield text[start:].strip()


def paragraphs(docstring: str) -> list[str]:
    """Return the paragraphs of a docstring, lines kept."""
    return [part for part in re.split(r"\n\s*\n", docstring) if part.strip()]


def first_sentence(docstring: str) -> str | None:
    """Return the sentence that says what something is, without its full stop, or None where none can be told.

    "D.keys() -> a view on D's keys" gives "Return a view on D's keys".
    """
    rest, result = _without_signatures(docstring)
    described = [
        one for one in paragraphs(rest) if len(one.split()) > 1
    ]  # a heading or a mark of one word says nothing
    for paragraph in described[:1]:
        prose = _DASHED_NAME.sub("", _USAGE_LINE.sub("", paragraph))
        sentence = _usable(next(sentences(plain(prose)), ""))
        if sentence is not None:
            return sentence
    if rest.strip() or len(result.split()) < 3:
        return None
    returned = _usable(next(sentences(plain(re.sub(r"^\w+\.? (?:--|-) |^\w+, (?=\w+ )", "", result))), ""))
    if returned and re.match(r"(?:an?|the|new|list|tuple|string|copy|bool|int|True)\b", returned):
        return f"Return {returned}"
    return returned


def _without_signatures(docstring: str) -> tuple[str, str]:
    """Return the docstring after its leading signature lines, and what the last of them says it returns."""
    rest, result = docstring.strip(), ""
    while found := _SIGNATURE_LINE.match(rest):
        result = found["result"] or result
        rest = rest[found.end() :].lstrip("\n")
    return rest, result


def _usable(sentence: str) -> str | None:
    """Return a sentence of fit length and form, cut at a clause where it is too long."""
    if _NOT_PROSE.match(sentence) or ">>>" in sentence or not re.search(r"[a-z]{2}", sentence):
        return None
    sentence = sentence.rstrip(" :;,-")
    if len(sentence.split()) > LONGEST_SENTENCE:
        cuts = [found.start() for found in _CLAUSE_END.finditer(sentence)]
        fitting = [cut for cut in cuts if 6 <= len(sentence[:cut].split()) <= LONGEST_SENTENCE]
        whole = [cut for cut in fitting if sentence[:cut].count("(") == sentence[:cut].count(")")]
        if not whole:
            return None
        sentence = sentence[: whole[-1]]
    sentence = sentence.rstrip(". ")
    return sentence if len(sentence.split()) >= 2 else None
