"""Near-duplicates of passages that came before, found by MinHash and locality-sensitive hashing."""

import logging
import re
from collections.abc import Iterable, Iterator
from itertools import islice

from rensa import RMinHashDeduplicator

from semiparametric.formats import Passage

logger = logging.getLogger(__name__)

_HASHES = 128  # of a passage; the estimate of a similarity then errs by 0.04 or so
_SHINGLE = 3  # words
_AT_ONCE = 256  # passages handed over together
_FOUND = 0.95  # of the pairs that are just as similar as the threshold, at least so many are compared
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")


class NearDuplicates:
    """Leaves out passages that are nearly equal to one that was kept before.

    How similar two passages are is the Jaccard similarity of the sets of their triples of neighbouring words, title
    included, case and punctuation aside. A passage that is kept takes 2.5 kB of memory at a threshold of 0.9, 7 at 0.5.

    Attributes:
        threshold: From which similarity on a passage is left out, above 0 and at most 1.
        count: How many were left out in the last reading.
    """

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self.count = 0

    def left_out(self, passages: Iterable[Passage]) -> Iterator[Passage]:
        """The passages without near-duplicates, in order; of similar ones the first is kept."""
        self.count = 0
        index = RMinHashDeduplicator(self.threshold, _HASHES, True, num_bands(self.threshold))
        rest = iter(passages)
        number = 0
        while batch := list(islice(rest, _AT_ONCE)):
            entries = [(str(number + at), shingles(passage)) for at, passage in enumerate(batch)]
            number += len(batch)
            for passage, is_new in zip(batch, index.add_pairs(entries), strict=True):
                if is_new:
                    yield passage
                else:
                    self.count += 1
        if self.count:
            logger.info("%d passages nearly equal an earlier one and are left out", self.count)


def shingles(passage: Passage) -> list[str]:
    """A passage's triples of neighbouring words; of fewer words, all of them as one."""
    words = _WORD.findall(f"{passage.title}\n{passage.text}".casefold())
    if not words:  # only punctuation
        return [passage.text]
    return [" ".join(words[at : at + _SHINGLE]) for at in range(max(1, len(words) - _SHINGLE + 1))]


def num_bands(threshold: float) -> int:
    """The least number of bands, a power of two, with which pairs as similar as the threshold are mostly found.

    Two passages are compared where all hashes of one band agree: fewer bands mean fewer needless comparisons.
    """
    bands = 1
    while bands < _HASHES and 1 - (1 - threshold ** (_HASHES // bands)) ** bands < _FOUND:
        bands *= 2
    return bands
