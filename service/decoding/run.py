"""One answer under way: does what the loop says and turns it into events."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
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
from service.decoding.timeline import LookupTimes, SegmentTimes, Timeline


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
        timeline: Timeline,
    ) -> None:
        self.loop = loop
        self.session = session
        self.lookups = lookups
        self.codec = codec
        self.request = request
        self.prompt_tokens = prompt_tokens
        self.timeline = timeline
        self.draft = Draft()
        self.detokenizer = Detokenizer(codec.decode)
        self.timings = Timings(queue=timeline.admitted - timeline.started)

    async def events(self) -> AsyncGenerator[Event, None]:
        """All events of the answer, `DoneEvent` last."""
        found: list[Event] = []  # told when the engine has what it needs to go on: sending them takes milliseconds
        while not isinstance(action := self.loop.next_action(), Finish):
            if isinstance(action, Decode):
                async for event in self._decode(action, found):
                    yield event
                found = []
            elif isinstance(action, LookUp):
                passages = await self._look_up()
                found += [RetrievalEvent(passages)] if passages else []
            elif isinstance(action, Extend):
                await self.session.truncate(action.keep)
                await self.session.append(action.ids)
        for event in [*found, *self._end_segment()]:
            yield event
        yield DoneEvent(self._answer(action))

    @property
    def usage(self) -> Usage:
        """Tokens and lookups so far."""
        return Usage(
            prompt_tokens=self.prompt_tokens,
            passage_tokens=self.loop.num_inserted,
            completion_tokens=self.loop.num_generated,
            retrievals=self.loop.num_retrievals,
            forwarded_tokens=self.session.forwarded_tokens,
        )

    async def _decode(self, action: Decode, before: Sequence[Event]) -> AsyncGenerator[Event, None]:
        """Events of a stretch of decoding, after those of `before`."""
        since = perf_counter()
        segment = SegmentTimes(since, self.draft.cited_id)
        self.timeline.steps.append(segment)
        tokens = self.session.decode(forbidden=action.forbidden, stop_ids=action.stop_ids, max_tokens=action.max_tokens)
        for event in before:
            yield event
        async for token in tokens:
            since = self._waited(since)  # the engine goes on with the next one while this one is read and sent
            segment.tokens.append(since)
            if self.loop.take(token):
                text = self.detokenizer.push(token)
                if text:
                    yield self._write(text)
            else:
                for event in self._end_segment():
                    yield event

    def _end_segment(self) -> list[Event]:
        """At a control token or the end of the answer: nothing may be held back, and an open citation is complete."""
        events: list[Event] = []
        text = self.detokenizer.flush()
        if text:
            events.append(self._write(text))
        citation = self.draft.close()
        if citation is not None:
            events.append(CitationEvent(citation))
        return events

    def _write(self, text: str) -> TokenEvent:
        """The answer goes on with this text."""
        if self.timeline.first_text is None:
            self.timeline.first_text = perf_counter()
        return TokenEvent(self.draft.add(text))

    async def _look_up(self) -> list[ScoredPassage]:
        """What the lookup found, its best passage inserted; empty where nothing was good enough or had room."""
        if self.lookups is None:  # the loop never asks for a lookup then
            return []
        times = LookupTimes(perf_counter())
        self.timeline.steps.append(times)
        state = await self._query_state() if self.lookups.by_state else None
        request = self.request
        used = set() if request.repeat_passages else {passage.row for passage in self.draft.passages}
        searching_since = perf_counter()
        times.state_s = searching_since - times.started if self.lookups.by_state else 0.0
        query, found = await asyncio.to_thread(
            self.lookups.find,
            state,
            request.question,
            self.draft.text,
            top_k=request.top_k,
            rows=request.rows,
            used=used,
        )
        times.searched(perf_counter() - searching_since, found)
        self.timings.lookup += times.search_s
        fits = self._insert(found, times)
        self.draft.looked_up(query, found, used=fits)
        if not fits:
            return []
        self.draft.open(found[0])
        return found

    def _insert(self, found: list[ScoredPassage], times: LookupTimes) -> bool:
        """Put the best passage before Gen; false where it is not good enough or has no room."""
        least = self.request.min_score
        if not found or (least is not None and found[0].score < least):
            times.outcome = "withdrawn"
            self.loop.withdraw()
            return False
        fits = self.loop.insert(self.codec.passage(found[0].passage))
        if not fits:
            times.outcome = "no_room"
        return fits

    async def _query_state(self) -> NDArray[np.float32]:
        since = perf_counter()
        state = await self.session.query_state()
        self._waited(since)
        return state

    def _waited(self, since: float) -> float:
        """Add the engine's time since then to the timings; when it had what it gave."""
        given_at = self.session.given_at
        seconds = given_at - since
        if self.timings.prefill == 0.0:
            self.timings.prefill = seconds
        else:
            self.timings.decode += seconds
        return given_at

    def _answer(self, end: Finish) -> Answer:
        self.timeline.ending = end.reason
        self.timings.total = perf_counter() - self.timeline.started
        draft = self.draft
        return Answer(draft.text, draft.citations, draft.passages, draft.lookups, end.reason, self.usage, self.timings)
