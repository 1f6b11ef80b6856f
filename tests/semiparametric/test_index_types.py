"""Index types: what numbers they get, what cannot be built and what is said then, and what they cost."""

from pathlib import Path

import pytest

from semiparametric.errors import InputError
from semiparametric.store.index_plan import IndexPlan
from semiparametric.store.index_types import INDEX_TYPES, index_type
from tests.semiparametric.vector_parts import DIMENSION, KINDS, built, clustered_vectors, planned

COUNT = 1500


def test_numbers_that_were_not_given_follow_from_count_and_dimension() -> None:
    plans = {
        name: dict(IndexPlan.checked(name, {}, count=1_000_000, dimension=384).index_parameters)
        for name in INDEX_TYPES
        if name != "factory"
    }
    assert plans == {
        "flat": {},
        "hnsw": {"hnsw_m": 32, "hnsw_ef_construction": 200},
        "ivf-flat": {"ivf_lists": 4000},
        "ivf-sq8": {"ivf_lists": 4000, "rescore": 4},
        "ivf-pq": {"ivf_lists": 4000, "rescore": 4, "pq_m": 96, "pq_opq": 1},
    }


def test_lists_follow_from_the_vectors_of_a_shard() -> None:
    whole = IndexPlan.checked("ivf-flat", {}, count=40_000, dimension=8)
    shard = IndexPlan.checked("ivf-flat", {}, count=40_000, dimension=8, shards=4)
    assert (whole.index_parameters["ivf_lists"], shard.index_parameters["ivf_lists"]) == (800, 400)
    assert shard.part_rows(10) == [range(2), range(2, 5), range(5, 7), range(7, 10)]


def test_numbers_that_were_given_are_kept_and_those_of_other_types_passed_over() -> None:
    given: dict[str, int | str | None] = {"hnsw_m": 7, "ivf_nprobe": 3, "pq_m": 2, "ivf_lists": None}
    hnsw = IndexPlan.checked("hnsw", given, count=1000, dimension=8)
    lists = IndexPlan.checked("ivf-pq", given, count=1000, dimension=8)
    assert hnsw.index_parameters == {"hnsw_m": 7, "hnsw_ef_construction": 200}
    assert (lists.index_parameters["pq_m"], lists.index_parameters["ivf_nprobe"]) == (2, 3)


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("tree", {}, "'tree' is no index type. Choose one of flat, hnsw, ivf-flat, ivf-sq8, ivf-pq, factory"),
        ("ivf-pq", {"pq_m": 5}, "pq_m is 5, which does not divide the dimension, 12. Choose one of 1, 2, 3, 4, 6, 12"),
        ("ivf-flat", {"ivf_lists": 501}, "ivf_lists is 501, but there are only 500 vectors.*Choose from 1 to 500"),
        ("factory", {}, "the index type factory wants a string"),
        ("factory", {"factory": "Nonsense"}, "'Nonsense': faiss makes no index of it.*could not parse index string"),
        ("factory", {"factory": "IVF8,PQ5"}, "'IVF8,PQ5': faiss makes no index of it for 12 dimensions"),
        ("factory", {"factory": "OPQ5,PQ5"}, "numbers after OPQ and PQ must divide the dimension"),
        ("factory", {"factory": "LSH"}, "'LSH': faiss makes no index of it"),
        (
            "factory",
            {"factory": "IVF501,Flat"},
            "makes 501 lists, but there are only 500 vectors.*Write at most IVF500",
        ),
    ],
)
def test_what_cannot_be_built_is_refused_with_what_can(
    name: str, given: dict[str, int | str | None], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        IndexPlan.checked(name, given, count=500, dimension=12)


def test_too_few_vectors_to_learn_codes_from_are_refused() -> None:
    with pytest.raises(InputError, match=r"ivf-pq learns 256 values.*only 255 in a part. Choose the index type flat"):
        IndexPlan.checked("ivf-pq", {}, count=510, dimension=8, shards=2)


def test_more_shards_than_vectors_are_refused() -> None:
    with pytest.raises(InputError, match=r"3 vectors cannot be cut into 4 shards. Choose from 1 to 3 shards"):
        IndexPlan.checked("flat", {}, count=3, dimension=8, shards=4)


def test_a_type_that_faiss_cannot_fill_is_refused_by_its_string(tmp_path: Path) -> None:
    plan = IndexPlan.checked("factory", {"factory": "IDMap,Flat"}, count=100, dimension=DIMENSION)
    with pytest.raises(InputError, match="IDMap,Flat: faiss cannot build the index type factory from 100 vectors"):
        built(tmp_path, clustered_vectors(100), plan)


@pytest.mark.parametrize(
    ("kind", "lossy", "setting"),
    [
        ("flat", False, None),
        ("hnsw", False, "hnsw_ef_search"),
        ("ivf-flat", False, "ivf_nprobe"),
        ("ivf-sq8", True, "ivf_nprobe"),
        ("ivf-pq", True, "ivf_nprobe"),
        ("graph of codes", True, "hnsw_ef_search"),
        ("lists behind a rotation", True, "ivf_nprobe"),
        ("lists, refined", False, "ivf_nprobe"),
        ("graph over lists", True, "ivf_nprobe"),
        ("codes that faiss cannot restrict", True, None),
    ],
)
def test_what_a_type_loses_and_what_trades_its_time_for_recall(kind: str, lossy: bool, setting: str | None) -> None:
    plan = planned(kind, COUNT)
    assert (plan.lossy, plan.search_setting) == (lossy, setting)


@pytest.mark.parametrize("kind", KINDS)
def test_each_vector_adds_what_the_formula_says(kind: str, tmp_path: Path) -> None:
    plan = planned(kind, 2 * COUNT)
    small, great = tmp_path / "small", tmp_path / "great"
    built(small, clustered_vectors(COUNT), plan)
    built(great, clustered_vectors(2 * COUNT), plan)
    added = (great / "index.faiss").stat().st_size - (small / "index.faiss").stat().st_size
    assert added / COUNT == pytest.approx(plan.bytes_per_vector, rel=0.02)


def test_names_of_types_are_those_of_the_table() -> None:
    assert [index_type(name) for name in INDEX_TYPES] == list(INDEX_TYPES.values())
