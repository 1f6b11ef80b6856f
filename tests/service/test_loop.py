import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semiparametric.control import ControlTokens
from service.decoding.loop import Decode, DecodingLoop, Extend, Finish, Limits, LookUp, State

RET, CS, CE, EOS = 90, 91, 92, 2
CONTROL = ControlTokens(ret=RET, cs=CS, ce=CE)
PROMPT = [1, 10, 11]
PASSAGE = [50, 51, 52]


def new_loop(**limits: Any) -> DecodingLoop:
    chosen: dict[str, Any] = {
        "retrieval": "auto",
        "max_retrievals": 4,
        "max_new_tokens": 100,
        "context_length": 200,
    } | limits
    return DecodingLoop(PROMPT, control=CONTROL, eos_ids=frozenset({EOS}), limits=Limits(**chosen))


def decode_action(loop: DecodingLoop) -> Decode:
    action = loop.next_action()
    assert isinstance(action, Decode)
    return action


def look_up_and_insert(loop: DecodingLoop, passage: list[int] = PASSAGE) -> None:
    assert loop.next_action() == LookUp()
    assert loop.insert(passage)
    assert isinstance(loop.next_action(), Extend)


def cite(loop: DecodingLoop, cited: list[int], passage: list[int] = PASSAGE) -> None:
    """Gen asks, gets a passage, writes what it cites and closes."""
    loop.take(RET)
    look_up_and_insert(loop, passage)
    for token in [*cited, CE]:
        loop.take(token)


def test_plain_text_stops_at_ret_and_eos_and_may_not_open_or_close_citations() -> None:
    assert new_loop().next_action() == Decode(frozenset({CS, CE}), frozenset({RET, EOS}), 100)


def test_a_cited_segment_stops_at_ce_and_eos_and_may_not_ask_again() -> None:
    loop = new_loop()
    loop.take(RET)
    look_up_and_insert(loop)
    assert loop.next_action() == Decode(frozenset({CS, RET}), frozenset({CE, EOS}), 99)


def test_ret_leads_to_a_lookup_whose_passage_goes_into_the_context_with_cs() -> None:
    loop = new_loop()
    assert loop.take(20)
    assert not loop.take(RET)
    assert loop.next_action() == LookUp()
    assert loop.insert(PASSAGE)
    assert loop.next_action() == Extend(5, (*PASSAGE, CS))
    assert loop.context == [*PROMPT, 20, RET, *PASSAGE, CS]
    assert (loop.num_generated, loop.num_retrievals, loop.num_inserted) == (2, 1, 4)


def test_ce_returns_to_plain_text_where_gen_may_ask_again() -> None:
    loop = new_loop()
    cite(loop, [30])
    assert loop.state is State.TEXT
    assert RET not in decode_action(loop).forbidden


@pytest.mark.parametrize("tokens", [[20], [RET], [20, RET]], ids=["in text", "cited", "text then cited"])
def test_eos_ends_the_answer_in_either_state(tokens: list[int]) -> None:
    loop = new_loop()
    for token in tokens:
        loop.take(token)
    if RET in tokens:
        look_up_and_insert(loop)
    assert not loop.take(EOS)
    assert loop.next_action() == Finish("stop")


def test_first_forces_a_lookup_before_the_first_token() -> None:
    loop = new_loop(retrieval="first")
    assert loop.context == [*PROMPT, RET]
    look_up_and_insert(loop)
    assert loop.num_generated == 0
    assert loop.num_inserted == len(PASSAGE) + 2


def test_never_and_no_retrievals_left_forbid_ret() -> None:
    assert RET in decode_action(new_loop(retrieval="never")).forbidden
    assert RET in decode_action(new_loop(max_retrievals=0)).forbidden
    assert RET in decode_action(new_loop(retrieval="first", max_retrievals=0)).forbidden
    loop = new_loop(max_retrievals=1)
    cite(loop, [30])
    assert RET in decode_action(loop).forbidden


def test_a_withdrawn_ret_leaves_the_context_and_cannot_come_back() -> None:
    loop = new_loop()
    loop.take(20)
    loop.take(RET)
    assert loop.next_action() == LookUp()
    loop.withdraw()
    assert loop.next_action() == Extend(4, ())
    assert loop.context == [*PROMPT, 20]
    assert RET in decode_action(loop).forbidden
    loop.take(EOS)
    assert loop.next_action() == Finish("no_evidence")


def test_an_answer_with_one_citation_and_one_withdrawn_ret_has_evidence() -> None:
    loop = new_loop()
    cite(loop, [30])
    loop.take(RET)
    loop.withdraw()
    loop.take(EOS)
    assert isinstance(loop.next_action(), Extend)
    assert loop.next_action() == Finish("stop")


def test_max_new_tokens_ends_the_answer() -> None:
    loop = new_loop(max_new_tokens=2)
    assert decode_action(loop).max_tokens == 2
    loop.take(20)
    assert decode_action(loop).max_tokens == 1
    loop.take(20)
    assert loop.next_action() == Finish("length")


def test_a_full_context_ends_an_answer_that_has_nothing_to_drop() -> None:
    loop = new_loop(context_length=5)
    assert decode_action(loop).max_tokens == 2
    loop.take(20)
    loop.take(20)
    assert loop.next_action() == Finish("length")


def test_a_full_context_drops_the_oldest_closed_passage_with_its_ret() -> None:
    loop = new_loop(context_length=12)
    cite(loop, [30])  # 3 + [Ret] 3 [Cs] 30 [Ce] = 10
    assert decode_action(loop).max_tokens == 2
    loop.take(20)
    loop.take(21)
    assert loop.next_action() == Extend(3, (CS, 30, CE, 20, 21))
    assert loop.context == [*PROMPT, CS, 30, CE, 20, 21]
    assert decode_action(loop).max_tokens == 4


def test_room_for_a_new_passage_is_made_by_dropping_older_ones_first_in_first_out() -> None:
    loop = new_loop(context_length=20)
    cite(loop, [30])
    cite(loop, [31], passage=[60, 61, 62])  # 10 + 7 = 17
    loop.take(RET)
    assert loop.next_action() == LookUp()
    assert loop.insert([70, 71, 72])
    kept = [CS, 30, CE, RET, 60, 61, 62, CS, 31, CE, RET]
    assert loop.context == [*PROMPT, *kept, 70, 71, 72, CS]
    assert loop.next_action() == Extend(3, tuple(loop.context[3:]))


def test_an_open_passage_is_never_dropped() -> None:
    loop = new_loop(context_length=10)
    loop.take(RET)
    look_up_and_insert(loop)  # 8
    loop.take(30)
    loop.take(31)
    assert loop.next_action() == Finish("length")


def test_a_passage_without_room_ends_the_answer() -> None:
    loop = new_loop(context_length=8)
    loop.take(RET)
    assert loop.next_action() == LookUp()
    assert not loop.insert(PASSAGE)
    assert loop.next_action() == Finish("length")


# t text, p passage; a closed citation may have lost its [Ret] and passage, an open one may not.
GRAMMAR = re.compile(r"(t|(Rp*)?Ct*E)*(Rp*Ct*|R)?S?")


def shape(ids: list[int]) -> str:
    letters = {RET: "R", CS: "C", CE: "E", EOS: "S"}
    return "".join(letters.get(token, "p" if token >= 50 else "t") for token in ids)


@given(
    choices=st.lists(st.integers(min_value=0, max_value=1000), max_size=80),
    retrieval=st.sampled_from(["auto", "first", "never"]),
    max_retrievals=st.integers(0, 5),
    max_new_tokens=st.integers(1, 60),
    context_length=st.integers(5, 60),
)
def test_no_forbidden_sequence_ever_occurs(
    choices: list[int], retrieval: str, max_retrievals: int, max_new_tokens: int, context_length: int
) -> None:
    loop = new_loop(
        retrieval=retrieval, max_retrievals=max_retrievals, max_new_tokens=max_new_tokens, context_length=context_length
    )
    held = list(loop.context)  # what a session would hold
    dice = iter(choices + [0] * 500)
    actions = 0
    while not isinstance(action := loop.next_action(), Finish):
        actions += 1
        if isinstance(action, Decode):
            assert held == loop.context
            possible = sorted({20, 21, 22, RET, CS, CE, EOS} - action.forbidden)
            for _ in range(action.max_tokens):
                token = possible[next(dice) % len(possible)]
                held.append(token)
                loop.take(token)
                if token in action.stop_ids:
                    break
        elif isinstance(action, LookUp):
            assert held[-1] == RET
            length = next(dice) % 12
            if length == 11:
                loop.withdraw()
            else:
                loop.insert([50 + index for index in range(length)])
        else:
            held = [*held[: action.keep], *action.ids]
        assert len(held) <= context_length
        assert held[: len(PROMPT)] == PROMPT
        assert GRAMMAR.fullmatch(shape(held[len(PROMPT) :])), held
        assert actions < 500
    assert loop.num_generated <= max_new_tokens
    assert loop.num_retrievals <= max_retrievals
