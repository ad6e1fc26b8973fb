"""The client that presses: it counts from when a request was due, and loses none from its books."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import numpy as np
import pandas as pd
from tsrep_deploy import load
from tsrep_deploy.pressing import LOST, Answered, closed, opened, request

import tsrep

ONE = request("/v1/embed", b"abc", [("Content-Type", "text/plain")])


def against(
    answer: Callable[[int], Awaitable[bytes]], ask: Callable[[str], Awaitable[list[Answered]]]
) -> list[Answered]:
    """What a client finds at a server that answers its k-th request by `answer(k)`; b"" closes the connection."""
    count = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        try:
            while await reader.readuntil(b"abc"):
                count += 1
                text = await answer(count)
                writer.write(text)
                if not text:
                    break
        except asyncio.IncompleteReadError:
            pass
        writer.close()

    async def run() -> list[Answered]:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            return await ask(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")

    return asyncio.run(run())


def said(status: int, body: bytes = b"") -> bytes:
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) + body


def test_who_waits_because_the_service_stood_still_is_counted_as_late():
    async def answer(k: int) -> bytes:
        if k == 10:
            time.sleep(0.4)  # the whole server stands still
        return said(200)

    found = against(answer, lambda address: opened(address, lambda _: ONE, 100, 1, 4))
    late = np.array([one.seconds for one in found])
    assert len(found) == 100
    assert {one.status for one in found} == {200}
    assert (
        25 < (late > 0.1).sum() < 45
    )  # those that were due in the .3 s before it was over by .1 s, not the four that had been sent


def test_every_request_has_an_answer_or_is_said_to_be_lost():
    async def answer(k: int) -> bytes:
        return [said(200, b"one"), said(429), b""][k % 3]

    found = against(answer, lambda address: closed(address, [ONE] * 30, 3))
    counted = {status: sum(one.status == status for one in found) for status in (200, 429, LOST)}
    assert counted == {200: 10, 429: 10, LOST: 10}
    assert {one.body for one in found if one.status == 200} == {b"one"}


def test_an_answer_that_does_not_come_is_lost_in_time():
    async def answer(k: int) -> bytes:
        await asyncio.sleep(5)
        return b""

    begin = time.monotonic()
    found = against(answer, lambda address: closed(address, [ONE], 1, within=0.1))
    assert (found[0].status, time.monotonic() - begin < 3) == (LOST, True)


def test_rows_that_were_measured_again_take_the_place_of_the_old(tmp_path):
    def rows(**values: float) -> pd.DataFrame:
        return tsrep.tidy([{"method": name, "metric": "ratio", "value": value} for name, value in values.items()])

    load.written(tmp_path / "a.csv", rows(one=1.0, two=2.0))
    load.written(tmp_path / "a.csv", rows(two=3.0))
    found = pd.read_csv(tmp_path / "a.csv")
    assert dict(zip(found["method"], found["value"], strict=True)) == {"one": 1.0, "two": 3.0}
