"""How many ids fit a session: the same for every engine, so that an answer ends at the same place on each."""

from transformers import PreTrainedConfig

from semiparametric.errors import InputError


def session_length(config: PreTrainedConfig, wanted: int | None) -> int:
    """The most ids a session may have, every layer attending to all of them.

    The model's positions but one: vLLM computes a state only along with the choice of one more token.

    Args:
        config: Gen's.
        wanted: At most so many; None takes all there are.

    Raises:
        InputError: More are wanted than there are.
    """
    text = config.get_text_config(decoder=True)
    positions: int = text.max_position_embeddings
    limit = min(positions, getattr(text, "sliding_window", None) or positions)
    if wanted is not None and wanted >= limit:
        raise InputError(f"{wanted} is too long", where="context_length", remedy=f"Give at most {limit - 1}")
    return wanted or limit - 1
