"""What a client saw of one request."""

from dataclasses import dataclass, field


@dataclass
class Outcome:
    """One request.

    began_s: seconds after the start of the load.
    status: what came of it: the HTTP status, or in words why there is none; `200` only for a whole answer.
    latency_s: from sending it to its end.
    first_s: to the first text; None where nothing streamed.
    gaps_s: between two pieces of text with nothing else in between.
    pauses_s: between two pieces of text with a lookup in between.
    queue_s, lookup_s, engine_s: waiting, looking up and all of it, as the service timed them; None without an answer.
    """

    began_s: float
    status: str = ""
    latency_s: float = 0.0
    first_s: float | None = None
    gaps_s: list[float] = field(default_factory=list)
    pauses_s: list[float] = field(default_factory=list)
    queue_s: float | None = None
    lookup_s: float | None = None
    engine_s: float | None = None
    completion_tokens: int = 0
    retrievals: int = 0

    @property
    def answered(self) -> bool:
        """Whether a whole answer came."""
        return self.status == "200"
