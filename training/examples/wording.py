"""Rules that turn a sentence into the words a user might type: a part of it, other verbs, keywords."""

import re
from random import Random

STOP_WORDS = frozenset(
    re.findall(
        r"\w+",
        """
    a an the of to in on at by for from with without as is are be was were been being it its this that these
    those and or not if when then else than so such which who whose what where how any all each other into onto
    out up down over under no only also can will would should may must do does did has have had one same given
    using use used via i you we they he she e g etc
        """,
    )
)

SYNONYMS = {
    "return": ("get", "obtain", "give back"),
    "get": ("return", "retrieve", "fetch"),
    "create": ("make", "build"),
    "make": ("create",),
    "construct": ("create", "build"),
    "remove": ("delete", "drop", "take out"),
    "delete": ("remove", "get rid of"),
    "convert": ("turn", "transform", "change"),
    "test": ("check", "find out"),
    "check": ("test", "verify"),
    "determine": ("find out", "tell"),
    "compute": ("calculate", "work out"),
    "print": ("show", "write out"),
    "display": ("show",),
    "find": ("look for", "search for"),
    "read": ("load",),
    "write": ("save", "put"),
    "execute": ("run",),
    "run": ("execute",),
    "start": ("begin", "launch"),
    "stop": ("end", "halt"),
    "close": ("shut",),
    "add": ("put in", "insert"),
    "append": ("add",),
    "insert": ("add", "put"),
    "set": ("change", "define"),
    "call": ("invoke",),
    "send": ("transmit",),
    "receive": ("get",),
    "raise": ("throw",),
    "split": ("break up", "divide"),
    "join": ("combine",),
    "merge": ("combine",),
    "parse": ("read", "interpret"),
    "retrieve": ("get", "fetch"),
    "copy": ("duplicate",),
    "register": ("add",),
    "wait": ("pause",),
    "encode": ("convert",),
    "list": ("show",),
    "generate": ("produce", "make"),
    "change": ("modify",),
    "replace": ("substitute",),
    "open": ("access",),
}

_PART_END = re.compile(
    r"(?:,|;| --| -)? (?:\(|if |when |unless |using |which |so that |and return|or return|as |for |without )|[,;:] "
)


def content_words(text: str) -> list[str]:
    """Return the words that carry meaning, lowered and freed of common endings, in order."""
    words = re.findall(r"[a-z0-9_]+", text.lower())
    return [stem(word) for word in words if word not in STOP_WORDS and (len(word) > 1 or word.isdigit())]


def stem(word: str) -> str:
    """Cut the endings by which a wording may differ from the docstring: "returns", "returning", "returned"."""
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            return word[: -len(ending)].rstrip("e")
    return word.rstrip("e") if len(word) > 3 else word


def parts(phrase: str) -> list[str]:
    """Return the phrase and its beginnings that end at a clause and still say something."""
    found = [phrase]
    for cut in _PART_END.finditer(phrase):
        part = phrase[: cut.start()]
        if len(content_words(part)) >= 3 and part.count("(") == part.count(")") and part.count('"') % 2 == 0:
            found.append(part)
    return found


def with_synonym(imperative: str, random: Random) -> str:
    """Replace the first verb of an imperative phrase by another of like meaning, where one is known."""
    verb, space, rest = imperative.partition(" ")
    choices = SYNONYMS.get(verb)
    return random.choice(choices) + space + rest if choices else imperative


def keywords(sentence: str, random: Random) -> str:
    """Return a few words of a sentence as one types them into a search box."""
    words = [
        word
        for word in re.findall(r"[A-Za-z_][\w.]*\w|\d+", sentence)
        if word.lower() not in STOP_WORDS and len(word) > 1
    ]
    while len(words) > 6 or (len(words) > 4 and random.random() < 0.5):
        del words[random.randrange(len(words))]
    return " ".join(words).lower()
