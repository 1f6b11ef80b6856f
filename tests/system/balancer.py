"""A balancer as small as can be: a connection goes to the next replica that is ready, and nothing is tried twice."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing, suppress

import httpx

from benchmarks.service_process import until

_LOOK_S = 0.1


class Balancer:
    """Passes bytes between clients and replicas.

    Attributes:
        replicas: Addresses by name; one that starts anew has another address.
        ready: Names of those that said so at the last look.
    """

    def __init__(self, replicas: Mapping[str, str]) -> None:
        self.replicas = dict(replicas)
        self.ready: list[str] = []
        self._passing: set[asyncio.Task[None]] = set()

    async def watch(self) -> None:
        """Look who is ready, until cancelled."""
        async with httpx.AsyncClient(timeout=30, trust_env=False) as http:
            while True:
                looks = [self._is_ready(http, url) for url in self.replicas.values()]
                ready = await asyncio.gather(*looks)
                self.ready = [name for name, is_ready in zip(self.replicas, ready, strict=True) if is_ready]
                await asyncio.sleep(_LOOK_S)

    async def all_ready(self) -> None:
        """Wait until all replicas are."""

        async def are_ready() -> bool:
            return len(self.ready) == len(self.replicas)

        assert await until(are_ready)

    async def _is_ready(self, http: httpx.AsyncClient, url: str) -> bool:
        try:
            return (await http.get(f"{url}/ready")).is_success
        except httpx.TransportError:
            return False

    def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A client has connected."""
        passing = asyncio.create_task(self._take(reader, writer))
        self._passing.add(passing)
        passing.add_done_callback(self._passing.discard)

    async def ended(self) -> None:
        """Wait until all connections are closed."""
        while self._passing:
            await asyncio.wait(self._passing)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer):  # also where no replica is ready or answers, which its client sees at once
            name = self.ready.pop(0)
            self.ready.append(name)
            address = httpx.URL(self.replicas[name])
            there, back = await asyncio.open_connection(address.host, address.port)
            await asyncio.gather(_pass_on(reader, back), _pass_on(there, writer))


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):  # one side is gone, and the other is told so
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


@asynccontextmanager
async def balancing(replicas: Mapping[str, str]) -> AsyncIterator[tuple[Balancer, str]]:
    """A balancer of these replicas, all of which are ready, and its address."""
    balancer = Balancer(replicas)
    watching = asyncio.create_task(balancer.watch())
    server = await asyncio.start_server(balancer.take, "127.0.0.1", 0)
    try:
        await balancer.all_ready()
        yield balancer, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await balancer.ended()
        watching.cancel()
        await asyncio.wait({watching})
