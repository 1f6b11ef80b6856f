"""What a docstring's first sentence says, in the forms that questions and answers need."""

import re
from dataclasses import dataclass
from typing import Literal

from training.examples.verbs import BASES, DETERMINERS, base_form, conjugate, to_imperative

Form = Literal["verb", "noun", "state", "plain"]

_SUBJECT = re.compile(
    r"^(?:This|The) (?:class|function|method|module|decorator|property|routine|type|package|exception|object) (?=\w)"
)
_BARE_NOUN = re.compile(
    r"^(?:Abstract|Base|Common|Concrete|Generic|Simple|Basic|Special|Internal(?!:)|Low-level|High-level|"
    r"Interface|Wrapper|Decorator|Mixin|Mix-in|Helper|Context manager|Class \w+|Container|Exception|Subclass|Function|"
    r"Type|Factory|Handler|Object|Metaclass|Descriptor|Iterator|Dictionary|Collection|Module|Utility|Event|Command|"
    r"Token|Visitor|Deprecated (?=[A-Z]))\b"
)
# "The LWPCookieJar saves ...", "A message had ...": whole sentences, not descriptions of what something is.
_WHOLE_SENTENCE = re.compile(
    r"^The (?:\w*[A-Z]\w*|\w+_\w+|\w+\(\)) [a-z]+s |"
    r"^(?:A|An|The) (?:[\w'-]+ ){1,4}?"
    r"(?:had|has|have|was|were|is|are|can|must|will|should|represents|provides?|occurred) "
)
_STATE = re.compile(
    r"^(?:Raised|Thrown|Used|Called|Invoked|Same as|Equivalent (?:of|to)|Similar to|Identical to|Like|Synonym|Alias|"
    r"Shorthand|Deprecated(?=[.,:;]| since| in| use))\b"
)
_STATE_WORDS = {
    "same": "the same",
    "alias": "an alias",
    "synonym": "a synonym",
    "shorthand": "a shorthand",
    "equivalent of": "the equivalent of",
}


@dataclass(frozen=True)
class Summary:
    """One sentence, and what stands in it as `phrase`, by form.

    "verb": what something does, an imperative; "noun": what it is, with an article; "state": what holds of it, after
    "is"; "plain": anything else, the sentence itself.
    """

    form: Form
    sentence: str  # as in the docstring, without markup and full stop
    phrase: str

    def statement(self, subject: str) -> str:
        """Return one sentence about `subject`."""
        if self.form == "verb":
            body = f"{subject} {conjugate(self.phrase)}"
        elif self.form == "plain":
            body = f"{subject}: {self.sentence}"
        else:
            body = f"{subject} is {self.phrase}"
        return body if body.endswith((".", "!", "?")) else f"{body}."


def summarize(sentence: str, kind: str, name: str = "") -> Summary:
    """Tell the form of a first sentence about the thing called `name` (its last component) of that kind."""
    body = _SUBJECT.sub("", sentence)
    if name:  # "MagicMock is a subclass of ...", said of MagicMock
        own = rf"^(?:The |An? )?{re.escape(name)}(?:\(\))? (?:{kind} |object )?(?=is |[a-z]+s )"
        body = re.sub(own, "", body)
    subject_named = body != sentence
    first, _, rest = body.partition(" ")
    if subject_named and first in {"is", "was"} and rest:
        named = re.match(r"an? |the ", rest)
        return Summary("noun" if named else "state", sentence, rest)
    if first.endswith("ly") and rest.partition(" ")[0] in BASES and kind in {"function", "method"}:
        return Summary("verb", sentence, lower_first(body))  # "Recursively delete ..."
    base = base_form(first)
    if base and rest and _is_verb(first, rest, kind, subject_named):
        imperative = f"{first.lower()} {rest}" if first.lower() in BASES else to_imperative(f"{first.lower()} {rest}")
        return Summary("verb", sentence, imperative)
    if subject_named:
        return Summary("plain", sentence, sentence)
    return _without_verb(sentence, kind)


def _without_verb(sentence: str, kind: str) -> Summary:
    lowered = lower_first(sentence)
    if kind in {"function", "method"} and re.match(r"(?:True|False|None) (?:if|when|iff)\b", sentence):
        return Summary("verb", sentence, f"return {sentence}")
    if re.match(r"Whether\b", sentence):
        return Summary("verb", sentence, f"tell {lowered}")
    if re.match(r"(?:A|An|The)\s+\w", sentence) and not _WHOLE_SENTENCE.match(sentence):
        return Summary("noun", sentence, lowered)
    if _STATE.match(sentence):
        for word, phrase in _STATE_WORDS.items():
            if lowered.startswith(f"{word} "):
                return Summary("state", sentence, phrase + lowered[len(word) :])
        return Summary("state", sentence, lowered)
    if kind != "module" and _BARE_NOUN.match(sentence):
        article = "an" if lowered[0] in "aeiou" else "a"
        return Summary("noun", sentence, f"{article} {lowered}")
    return Summary("plain", sentence, sentence)


def _is_verb(first: str, rest: str, kind: str, subject_named: bool) -> bool:
    if subject_named:
        return first.lower() not in BASES
    if kind in {"function", "method"}:
        return not rest.startswith(("of ", "is "))
    following = rest.split(" ", 1)[0].lower()
    return following in DETERMINERS or (first.lower() not in BASES and following in {"over", "to", "from"})


def lower_first(text: str) -> str:
    """Lower the first letter unless the first word is a name or an acronym."""
    first = text.split(" ", 1)[0]
    return text[0].lower() + text[1:] if first[1:] == first[1:].lower() and first.isascii() else text
