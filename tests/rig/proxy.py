"""A load balancer's data path: HTTP/1.1 in, HTTP/1.1 out, connections to targets kept and used again.

What matters for deployments is that it does not do more than a real one: an idle connection is used again without
asking whether the target has closed it, no request is repeated, and a target's last requests are cut when its drain
time is over. Runs in one thread of its own, on asyncio.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Coroutine
    from typing import Any

_LIMIT: Final = 1 << 20
_CHUNK: Final = 1 << 16
_CONNECT_S: Final = 5
_HOP = {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"upgrade"}


@dataclass(eq=False, kw_only=True)
class Target:
    """One target of a balancer. `idle` are connections that wait to be used again."""

    address: str
    port: int
    outstanding: int = 0
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = field(default_factory=list)
    cut: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, kw_only=True)
class Listener:
    """Where a balancer listens and what it does. `choose` returns the target of the next request, None for none."""

    address: str
    port: int
    choose: Callable[[], Target | None]
    idle_s: float
    redirect: str = ""
    context: ssl.SSLContext | None = None


class _Broken(Exception):
    """The other side did not speak as it should, or closed."""


class Proxy:
    """All listeners of a rig."""

    def __init__(self) -> None:
        """Start the thread."""
        self.statuses: Counter[int] = Counter()
        """Answers that a balancer made itself, by status: 502, 503 and 504."""
        self._loop = asyncio.new_event_loop()
        self._servers: dict[tuple[str, int], asyncio.Server] = {}
        self._upstreams: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="balancer")
        self._thread.start()

    def call(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run something in the proxy's thread."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    def listen(self, listener: Listener) -> None:
        """Serve an address."""

        async def start() -> None:
            async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await self._serve(listener, reader, writer)

            self._servers[listener.address, listener.port] = await asyncio.start_server(
                serve, listener.address, listener.port, limit=_LIMIT, ssl=listener.context
            )

        self.call(start())

    def unlisten(self, address: str, port: int) -> None:
        """Serve an address no longer."""

        async def stop() -> None:
            self._servers.pop((address, port)).close()

        self.call(stop())

    def retire(self, target: Target) -> None:
        """Cut what a target still works on, and close its idle connections."""

        async def cut() -> None:
            target.cut.set()
            while target.idle:
                self._drop(target.idle.pop()[1])

        self.call(cut())

    def close(self) -> None:
        """Stop all."""

        async def stop() -> None:
            for server in self._servers.values():
                server.close()
            mine = asyncio.current_task()
            others = [task for task in asyncio.all_tasks() if task is not mine]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            for writer in list(self._upstreams):
                self._drop(writer)
            # A transport is closed in the next round of the loop.
            await asyncio.sleep(0)

        self.call(stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _serve(self, listener: Listener, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, _Broken, asyncio.IncompleteReadError, asyncio.CancelledError):
            while await self._exchange(listener, reader, writer):
                pass
        writer.close()

    async def _exchange(self, listener: Listener, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serve one request of a client's connection; False if there is no next one."""
        try:
            async with asyncio.timeout(listener.idle_s):
                head = await _head(reader)
        except TimeoutError:
            return False
        line, headers = head
        if listener.redirect:
            await self._answer(writer, 301, b"Location: " + listener.redirect.encode() + line.split(b" ")[1] + b"\r\n")
            return False
        target = listener.choose()
        if target is None:
            return await self._answer(writer, 503)
        target.outstanding += 1
        try:
            return await self._through(listener, target, (line, headers), reader, writer)
        finally:
            target.outstanding -= 1

    async def _through(
        self,
        listener: Listener,
        target: Target,
        head: tuple[bytes, list[tuple[bytes, bytes]]],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        line, headers = head
        begun = False
        upstream = None
        try:
            upstream = await self._connection(target)
            async with asyncio.timeout(listener.idle_s):
                upstream[1].write(_joined(line, _forwarded(headers, listener, writer)))
                await _body(headers, reader, upstream[1], asked=True)
                await _or_cut(upstream[1].drain(), target)
                got, answered = await _or_cut(_head(upstream[0]), target)
            status = int(got.split(b" ")[1])
            begun = True
            writer.write(_joined(got, answered))
            bodyless = line.startswith(b"HEAD ") or status in {204, 304}
            kept = bodyless or await _or_cut(_body(answered, upstream[0], writer, asked=False), target)
            await writer.drain()
        except TimeoutError:
            if upstream is not None:
                self._drop(upstream[1])
            return False if begun else await self._answer(writer, 504)
        except (OSError, _Broken, asyncio.IncompleteReadError, ValueError, IndexError):
            if upstream is not None:
                self._drop(upstream[1])
            return False if begun else await self._answer(writer, 502)
        if kept and not _says_close(answered) and not target.cut.is_set():
            target.idle.append(upstream)
        else:
            self._drop(upstream[1])
        return kept and not _says_close(headers)

    async def _connection(self, target: Target) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if target.idle:
            return target.idle.pop()
        async with asyncio.timeout(_CONNECT_S):
            opened = await asyncio.open_connection(target.address, target.port, limit=_LIMIT)
        self._upstreams.add(opened[1])
        return opened

    def _drop(self, writer: asyncio.StreamWriter) -> None:
        self._upstreams.discard(writer)
        writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, status: int, headers: bytes = b"") -> bool:
        self.statuses[status] += 1
        writer.write(b"HTTP/1.1 %d Balancer\r\nContent-Length: 0\r\nConnection: close\r\n%s\r\n" % (status, headers))
        await writer.drain()
        return False


async def _or_cut(awaited: Coroutine[Any, Any, Any], target: Target) -> Any:
    work, cut = asyncio.ensure_future(awaited), asyncio.ensure_future(target.cut.wait())
    try:
        await asyncio.wait({work, cut}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise _Broken
        return work.result()
    finally:
        cut.cancel()
        if not work.done():
            work.cancel()


async def _head(reader: asyncio.StreamReader) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.LimitOverrunError, asyncio.IncompleteReadError):
        raise _Broken from None
    line, *rest = raw[:-4].split(b"\r\n")
    return line, [(name, value.strip()) for name, _, value in (each.partition(b":") for each in rest)]


def _joined(line: bytes, headers: list[tuple[bytes, bytes]]) -> bytes:
    kept = [b"%s: %s" % each for each in headers if each[0].lower() not in _HOP]
    return b"\r\n".join([line, *kept, b"", b""])


def _forwarded(
    headers: list[tuple[bytes, bytes]], listener: Listener, client: asyncio.StreamWriter
) -> list[tuple[bytes, bytes]]:
    """Return a request's headers with those of a balancer, which appends the client to X-Forwarded-For."""
    said = [_value(headers, b"x-forwarded-for"), client.get_extra_info("peername")[0].encode()]
    ours = {
        b"X-Forwarded-For": b", ".join(each for each in said if each),
        b"X-Forwarded-Proto": b"https" if listener.context else b"http",
        b"X-Forwarded-Port": str(listener.port).encode(),
    }
    replaced = {name.lower() for name in ours}
    return [*(each for each in headers if each[0].lower() not in replaced), *ours.items()]


def _value(headers: list[tuple[bytes, bytes]], name: bytes) -> bytes:
    return next((value for key, value in headers if key.lower() == name), b"")


def _says_close(headers: list[tuple[bytes, bytes]]) -> bool:
    return _value(headers, b"connection").lower() == b"close"


async def _body(
    headers: list[tuple[bytes, bytes]], reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, asked: bool
) -> bool:
    """Pass a message's body on; False if it ended with the connection."""
    if _value(headers, b"transfer-encoding").lower() == b"chunked":
        while True:
            size = await reader.readuntil(b"\r\n")
            length = int(size.split(b";")[0], 16)
            writer.write(size + await reader.readexactly(length + 2))
            await writer.drain()
            if not length:
                return True
    length_text = _value(headers, b"content-length")
    if not length_text and not asked:
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
        return False
    left = int(length_text or 0)
    while left:
        data = await reader.read(min(left, _CHUNK))
        if not data:
            raise _Broken
        writer.write(data)
        await writer.drain()
        left -= len(data)
    return True
