"""Imperative and third person of the verbs that docstrings start with: "Return" <-> "returns"."""

import re

_BASES = re.findall(
    r"\w+",
    """
    abort accept access acquire activate add adjust advance allocate allow analyze append apply approximate ask
    assemble assert assign attach authenticate await backport begin bind block break broadcast build bypass
    calculate call cancel capture cast catch change check choose clean clear clone close collapse collect
    combine commit communicate compare compile complete compress compute concatenate configure confirm connect
    consume construct contain continue control convert copy count create customize deactivate decide deallocate
    declare decode decompress decorate decrease decrement decrypt defer define delegate delete deliver deprecate
    dequeue derive describe deserialize destroy detach detect determine disable disallow discard disconnect
    dispatch display divide do download draw drain dump duplicate echo edit effect eliminate emit emulate enable
    encapsulate encode encrypt end enqueue ensure enter enumerate erase escape establish estimate evaluate
    examine exchange exclude execute exit expand expect explain export expose extend extract fail feed fetch
    fill filter finalize find finish fire fit fix flatten flush fold follow force fork format forward free
    freeze gather generate get give grant group guess halt handle help hide hold identify ignore implement
    import include increase increment indicate inform inherit initialize initiate inject insert inspect install
    instantiate instruct interpret interrupt intersect invalidate invert invoke issue iterate join keep kill
    launch let limit link list listen load localize locate lock log look lookup lower maintain make manage
    manipulate map mark match measure merge mock modify monitor mount move multiply negate normalize note notify
    obtain offer open optimize order override overwrite pack pad parse partition pass patch pause peek perform
    permit pick place poll pop populate position post predict prepare prepend present preserve prevent print
    process produce prompt propagate protect provide publish pull purge push put query quote raise read rebuild
    receive recompute reconstruct record recover redirect reduce refer refresh refuse register reject release
    reload remove rename render reorder repeat replace report represent request require reserve reset resize
    resolve respond restart restore resume retrieve retry return reuse reverse revert revoke rewind rewrite roll
    rollback rotate round run sample save scale scan schedule score search seed seek select send separate
    serialize serve set setup shift show shuffle shut shutdown sign signal simulate skip sleep solve sort
    specify split spawn stack start stop store stream strip submit subscribe subtract suggest sum summarize
    support suppress suspend swap switch synchronize take tell terminate test throw toggle tokenize track train
    transfer transform translate transmit transpose traverse treat trigger trim truncate try turn unbind undo
    uninstall unlock unmap unpack unpickle unquote unregister unset unwrap update upgrade upload use validate
    verify visit wait wake walk warn watch wrap write yield zip
    """,
)

# These name things as often as actions: outside functions they count as verbs only before an article.
DETERMINERS = frozenset(
    {"a", "an", "the", "all", "any", "and", "each", "if", "its", "one", "some", "multiple", "whether"}
)

# Verbs that go on a sentence after "and" or "then" and are hardly ever nouns there.
_CONTINUING = frozenset(
    re.findall(
        r"\w+",
        """
    return pop raise remove append replace close store print yield send discard insert add create delete ignore
    exit write apply call collect restore run make update get start stop wait execute notify register release
    reset initialize
        """,
    )
)


def third_person(base: str) -> str:
    """Return "serializes" for "serialize"."""
    if base == "do":
        return "does"
    if re.search(r"(?:s|x|z|ch|sh)$", base):
        return f"{base}es"
    return f"{base[:-1]}ies" if re.search(r"[^aeiou]y$", base) else f"{base}s"


BASES = frozenset(_BASES)
_BASE_OF = {third_person(base): base for base in _BASES}


def base_form(word: str) -> str | None:
    """Return the base of a third-person form, the word itself when it is a base, None when it is no known verb."""
    lowered = word.lower()
    if lowered in BASES:
        return lowered
    return _BASE_OF.get(lowered)


def conjugate(imperative: str) -> str:
    """Turn an imperative sentence into the third person: its verb, after an adverb or not, and joined verbs."""
    words = imperative.split(" ")
    verb = 1 if words[0].endswith("ly") and words[0] not in BASES and len(words) > 1 else 0
    words[verb] = third_person(words[verb])
    for index in range(verb + 2, len(words)):
        bare = words[index].rstrip(",")
        goes_on = words[index - 1] in {"and", "then"} or words[index - 1].endswith(",")
        joined = goes_on and words[max(index - 3, 0)] != "to"
        directly = index == verb + 2 and words[index - 1] in {"and", "or"} and bare in BASES
        if directly or (joined and bare in _CONTINUING):
            words[index] = third_person(bare) + words[index][len(bare) :]
    return " ".join(words)


def to_imperative(third: str) -> str:
    """Turn a third-person sentence that starts with a known verb into the imperative, joined verbs included."""
    words = third.split(" ")
    words[0] = _BASE_OF.get(words[0], words[0])
    for index in range(2, len(words)):
        base = _BASE_OF.get(words[index], "")
        if words[index - 1] in {"and", "then"} and base in _CONTINUING:
            words[index] = base
    return " ".join(words)
