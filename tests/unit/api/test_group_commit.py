"""Groups of messages: what publishing raises reaches everybody who waits, and nobody waits for ever."""

import asyncio
from collections.abc import Sequence

import pytest

from lemo.api.group_commit import GroupCommit
from lemo.streams import Message


def test_whatever_publishing_raises_is_told_and_the_next_group_goes_on() -> None:
    published: list[list[bytes]] = []

    def publish(messages: Sequence[Message]) -> None:
        published.append([message.value for message in messages])
        if len(published) == 1:
            raise ValueError("a fault that nobody thought of")

    async def test() -> None:
        group = GroupCommit(publish)
        async with asyncio.timeout(10):
            found = await asyncio.gather(
                *(group.publish([Message(value)]) for value in (b"1", b"2")), return_exceptions=True
            )
            assert [type(each) for each in found] == [ValueError, ValueError]
            await asyncio.gather(*(group.publish([Message(value)]) for value in (b"3", b"4")))
        group.close()
        with pytest.raises(RuntimeError):  # and so does a process that ends
            await group.publish([Message(b"5")])

    asyncio.run(test())
    assert published == [[b"1", b"2"], [b"3", b"4"]], "what waits is published together"
