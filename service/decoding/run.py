"""One answer under way: does what the loop says and turns it into events."""

import asyncio
from collections.abc import AsyncGenerator
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from semiparametric.codec import Codec
from service.decoding.answer import Answer, Draft, ScoredPassage, Timings, Usage
from service.decoding.detokenizer import Detokenizer
from service.decoding.engine import Session
from service.decoding.events import CitationEvent, DoneEvent, Event, RetrievalEvent, TokenEvent
from service.decoding.lookup import Lookups
from service.decoding.loop import Decode, DecodingLoop, Extend, Finish, LookUp
from service.decoding.request import GenerationRequest


class Run:
    """Joins one loop, one session and the lookups; `events` may be read once."""

    def __init__(
        self,
        loop: DecodingLoop,
        session: Session,
        lookups: Lookups | None,
        codec: Codec,
        request: GenerationRequest,
        prompt_tokens: int,
        started: float,
    ) -> None:
        self.loop = loop
        self.session = session
        self.lookups = lookups
        self.codec = codec
        self.request = request
        self.prompt_tokens = prompt_tokens
        self.started = started
        self.draft = Draft()
        self.detokenizer = Detokenizer(codec.decode)
        self.timings = Timings(queue=perf_counter() - started)

    async def events(self) -> AsyncGenerator[Event, None]:
        """All events of the answer, `DoneEvent` last."""
        while not isinstance(action := self.loop.next_action(), Finish):
            if isinstance(action, Decode):
                async for event in self._decode(action):
                    yield event
            elif isinstance(action, LookUp):
                found = await self._look_up()
                if found:
                    yield RetrievalEvent(found)
            elif isinstance(action, Extend):
                await self.session.truncate(action.keep)
                await self.session.append(action.ids)
        for event in self._end_segment():
            yield event
        yield DoneEvent(self._answer(action))

    async def _decode(self, action: Decode) -> AsyncGenerator[Event, None]:
        waiting_since = perf_counter()
        async for token in self.session.decode(
            forbidden=action.forbidden, stop_ids=action.stop_ids, max_tokens=action.max_tokens
        ):
            self._waited(waiting_since)
            if self.loop.take(token):
                text = self.detokenizer.push(token)
                if text:
                    yield TokenEvent(self.draft.add(text))
            else:
                for event in self._end_segment():
                    yield event
            waiting_since = perf_counter()

    def _end_segment(self) -> list[Event]:
        """At a control token or the end of the answer: nothing may be held back, and an open citation is complete."""
        events: list[Event] = []
        text = self.detokenizer.flush()
        if text:
            events.append(TokenEvent(self.draft.add(text)))
        citation = self.draft.close()
        if citation is not None:
            events.append(CitationEvent(citation))
        return events

    async def _look_up(self) -> list[ScoredPassage]:
        """What the lookup found, its best passage inserted; empty where nothing was good enough or had room."""
        if self.lookups is None:  # the loop never asks for a lookup then
            return []
        state = await self._query_state() if self.lookups.by_state else None
        request = self.request
        used = set() if request.repeat_passages else {passage.row for passage in self.draft.passages}
        started = perf_counter()
        found = await asyncio.to_thread(
            self.lookups.find,
            state,
            request.question,
            self.draft.text,
            top_k=request.top_k,
            rows=request.rows,
            used=used,
        )
        self.timings.lookup += perf_counter() - started
        if not found or (request.min_score is not None and found[0].score < request.min_score):
            self.loop.withdraw()
            return []
        if not self.loop.insert(self.codec.passage(found[0].passage)):
            return []
        self.draft.open(found[0])
        return found

    async def _query_state(self) -> NDArray[np.float32]:
        waiting_since = perf_counter()
        state = await self.session.query_state()
        self._waited(waiting_since)
        return state

    def _waited(self, since: float) -> None:
        seconds = perf_counter() - since
        if self.timings.prefill == 0.0:
            self.timings.prefill = seconds
        else:
            self.timings.decode += seconds

    def _answer(self, end: Finish) -> Answer:
        loop = self.loop
        usage = Usage(
            prompt_tokens=self.prompt_tokens,
            passage_tokens=loop.num_inserted,
            completion_tokens=loop.num_generated,
            retrievals=loop.num_retrievals,
            forwarded_tokens=self.session.forwarded_tokens,
        )
        self.timings.total = perf_counter() - self.started
        draft = self.draft
        return Answer(draft.text, draft.citations, draft.passages, end.reason, usage, self.timings)
