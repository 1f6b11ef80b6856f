"""What an error says to the person who can act on it."""

import pickle

import pytest

from semiparametric.errors import BusyError, CosupError, InputError, PairError, StoreError


@pytest.mark.parametrize(
    ("where", "remedy", "said"),
    [
        (None, None, "port is 0"),
        ("settings", None, "settings: port is 0"),
        (None, "Name one from 1 to 65535", "port is 0. Name one from 1 to 65535"),
        ("settings", "Name one from 1 to 65535", "settings: port is 0. Name one from 1 to 65535"),
    ],
)
def test_an_error_reads_where_then_what_then_remedy(where: str | None, remedy: str | None, said: str) -> None:
    assert str(InputError("port is 0", where=where, remedy=remedy)) == said


@pytest.mark.parametrize("kind", [InputError, PairError, StoreError, BusyError])
def test_every_error_is_caught_as_a_cosup_error_and_by_its_own_kind_only(kind: type[CosupError]) -> None:
    with pytest.raises(CosupError, match=r"^no$") as caught:
        raise kind("no")
    assert type(caught.value) is kind
    assert kind.__bases__ == (CosupError,)


def test_an_error_crosses_a_process_border_whole() -> None:
    error = pickle.loads(pickle.dumps(StoreError("damaged", where="index", remedy="Build it again")))
    assert (str(error), error.message) == ("index: damaged. Build it again", "damaged")
