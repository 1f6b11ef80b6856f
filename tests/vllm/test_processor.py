"""The logits processor and the kept states, without a model."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

RET, CS = 7, 8


def params(**extra: Any) -> SimpleNamespace:
    return SimpleNamespace(extra_args=extra)


def update(**changes: Any) -> SimpleNamespace:
    return SimpleNamespace(**{"removed": [], "added": [], "moved": []} | changes)


def kept(name: str) -> list[float] | None:
    from service.engines.vllm.worker import rows

    state = rows.take(name)
    return None if state is None else np.frombuffer(state, np.float32).tolist()


def step(processor: Any, count: int) -> torch.Tensor:
    """A step with `count` rows; row `i` has the state `[i, i]`, and the likeliest token 9."""
    from service.engines.vllm.worker import rows

    rows.show(torch.arange(count).float().repeat(2, 1).T)
    logits = torch.zeros(count, 10)
    logits[:, 9] = 1
    applied: torch.Tensor = processor.apply(logits)
    return applied


def test_requests_keep_their_masks_when_rows_are_removed_moved_and_swapped() -> None:
    from service.engines.vllm.worker import GenProcessor

    processor = GenProcessor(None, None, False)
    added: list[Any] = [(row, params(cosup_forbidden=[row]), [1], []) for row in range(3)]
    processor.update_state(update(added=added))
    processor.update_state(update(removed=[0], moved=[(2, 0, SimpleNamespace(name="UNIDIRECTIONAL"))]))
    assert torch.isinf(step(processor, 2)).nonzero().tolist() == [[0, 2], [1, 1]]
    processor.update_state(update(moved=[(0, 1, SimpleNamespace(name="SWAP"))]))
    processor.update_state(None)
    assert torch.isinf(step(processor, 2)).nonzero().tolist() == [[0, 1], [1, 2]]
    processor.update_state(update(added=[(0, params(), [1], [])]))
    assert torch.isinf(step(processor, 2)).nonzero().tolist() == [[1, 2]]


def test_a_decode_keeps_the_state_at_ret_alone_and_ends_with_a_forced_cs() -> None:
    from service.engines.vllm.worker import GenProcessor

    processor = GenProcessor(None, None, False)
    new: list[int] = []
    asked = params(cosup_forbidden=[CS], cosup_state="a", cosup_lookup=[RET, CS])
    processor.update_state(update(added=[(0, params(), [1], []), (1, asked, [1, 2], new)]))
    assert step(processor, 2).argmax(-1).tolist() == [9, 9]
    assert kept("a") is None
    new.append(RET)
    assert step(processor, 2).argmax(-1).tolist() == [9, CS]
    new.append(CS)
    step(processor, 2)  # scheduled before it was known that the request has ended
    assert kept("a") == [1, 1]
    assert kept("a") is None


def test_a_request_for_a_state_keeps_the_last_one_of_a_prompt_in_pieces() -> None:
    from service.engines.vllm.worker import GenProcessor

    processor = GenProcessor(None, None, False)
    processor.update_state(update(added=[(0, params(cosup_state="b"), [1, 2, 3], [])]))
    step(processor, 1)
    processor.update_state(update(moved=[(0, 2, SimpleNamespace(name="UNIDIRECTIONAL"))]))
    step(processor, 3)
    assert kept("b") == [2, 2]


def test_states_that_nobody_fetches_are_bounded() -> None:
    from service.engines.vllm.worker import Rows

    rows = Rows(most=3)
    for number in range(5):
        rows.keep(f"{number}", torch.tensor([float(number)]))
    assert [rows.take(f"{number}") is not None for number in range(5)] == [False, False, True, True, True]


def test_what_is_not_of_the_protocol_is_refused() -> None:
    from service.engines.vllm.worker import GenProcessor

    with pytest.raises(ValueError, match="cosup_forbidden holds token ids"):
        GenProcessor.validate_params(params(cosup_forbidden=["x"]))
