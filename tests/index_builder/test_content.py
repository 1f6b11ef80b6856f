"""Which passages a rebuild encodes, and what it says has changed."""

import numpy as np

from index_builder.content import ContentDigests, compare
from semiparametric.formats import Passage
from semiparametric.spec import PassageForm

FORM = PassageForm()


def digests(passages: list[Passage], form: PassageForm = FORM) -> ContentDigests:
    taken = ContentDigests(form)
    taken.take(passages)
    return taken


def passage(number: int, text: str | None = None, title: str = "") -> Passage:
    return Passage(id=f"p{number}", title=title, text=text or f"Text {number}.")


def test_a_passage_that_moved_or_changed_its_metadata_is_not_encoded_again() -> None:
    version = [passage(0), passage(1), passage(2)]
    corpus = [passage(2), Passage(id="p0", text="Text 0.", source="elsewhere", metadata={"day": 3}), passage(1)]
    found = compare(digests(corpus), digests(version))
    assert found.reusable.tolist() == [2, 0, 1]
    assert (found.added, found.changed, found.removed, found.reused) == (0, 0, 0, 3)


def test_added_changed_and_removed_passages_are_counted_by_their_ids() -> None:
    version = [passage(0), passage(1), passage(2)]
    corpus = [passage(0), passage(2, "Another text."), passage(3), passage(4)]
    found = compare(digests(corpus), digests(version))
    assert (found.added, found.changed, found.removed, found.reused) == (2, 1, 1, 1)
    assert found.to_encode.tolist() == [1, 2, 3]


def test_a_passage_under_a_new_id_takes_the_vector_of_its_content() -> None:
    found = compare(digests([Passage(id="new", text="Text 1.")]), digests([passage(0), passage(1)]))
    assert (found.added, found.removed, found.reusable.tolist()) == (1, 2, [1])


def test_the_title_is_content_where_embseq_reads_it() -> None:
    titled, plain = [passage(0, title="Lamp")], [passage(0)]
    assert compare(digests(titled), digests(plain)).changed == 1
    text_only = PassageForm(template="{text}")
    assert compare(digests(titled, text_only), digests(plain, text_only)).changed == 0


def test_a_version_of_no_passages_offers_none() -> None:
    found = compare(digests([passage(0)]), digests([]))
    assert (found.reusable.tolist(), found.added, found.removed) == ([-1], 1, 0)


def test_the_comparison_is_that_of_plain_dictionaries() -> None:
    random = np.random.default_rng(3)
    version = [passage(n, str(random.integers(40))) for n in random.permutation(300)[:200].tolist()]
    corpus = [passage(n, str(random.integers(40))) for n in random.permutation(300)[:200].tolist()]
    found = compare(digests(corpus), digests(version))
    texts = {one.id: one.text for one in version}
    assert found.added == sum(one.id not in texts for one in corpus)
    assert found.changed == sum(one.id in texts and texts[one.id] != one.text for one in corpus)
    assert found.removed == len(texts.keys() - {one.id for one in corpus})
    for one, place in zip(corpus, found.reusable.tolist(), strict=True):
        assert version[place].text == one.text if place >= 0 else one.text not in texts.values()
