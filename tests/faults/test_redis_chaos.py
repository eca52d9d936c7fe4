"""Writers go on for a minute while Redis is killed, is stopped, and loses replies: nothing goes or doubles.

Calls of a writer go through any of three memories, as if through as many processes; to one of them an outage
is an error. What the writer was told is kept here, and compared with what the server holds in the end.
"""

import os
import random
import statistics
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest
from anyio import to_thread

from recollect import (
    Limits,
    Memory,
    OutcomeUnknown,
    TryLater,
    UserMemory,
    VersionConflict,
    open_memory,
)

from ..redis_servers import RedisServer
from .proxy import Proxy, open_proxy
from .redis_memories import THERE, Start

SECONDS = float(os.environ.get("RECOLLECT_TEST_CHAOS", "60"))
"""How long the writers write. A minute has some twenty outages, of a few kinds each."""

WRITERS = 8
TENANTS = ("alice", "bob", "carol")
LIMITS = Limits(max_notes=1_000_000, max_variables=1_000)
PAUSE = 0.01
HEALS = 60
LOSS = 0.03
"""Share of replies that are lost."""


@dataclass(eq=False)
class Ledger:
    """What the writers were told, by tenant.

    Attributes:
        sure: texts of what was acknowledged, with the memory that did; `unsure` of what may have been done;
            `refused` of what was not.
        latest: of each variable, the number that was acknowledged last, and those of unknown outcome.
        returned: when the server came back, for each memory that has not noticed; `recoveries`: seconds from
            there to the first call that was answered by it.
    """

    sure: dict[str, dict[str, int]] = field(default_factory=lambda: {name: {} for name in TENANTS})
    unsure: dict[str, set[str]] = field(default_factory=lambda: {name: set() for name in TENANTS})
    refused: dict[str, set[str]] = field(default_factory=lambda: {name: set() for name in TENANTS})
    latest: dict[tuple[str, str], tuple[int, list[int]]] = field(default_factory=dict)
    events: Counter[str] = field(default_factory=Counter)
    returned: dict[int, float] = field(default_factory=dict)
    recoveries: list[float] = field(default_factory=list)


@dataclass(eq=False)
class Writer:
    """One task, that calls one after the other."""

    number: int
    memories: list[Memory]
    ledger: Ledger
    rng: random.Random
    count: int = 0

    async def write(self) -> None:
        actions = (self.append, self.note, self.increment, self.set_variable)
        while True:
            await anyio.sleep(self.rng.random() * 2 * PAUSE)
            memory = self.rng.randrange(len(self.memories))
            name = self.rng.choice(TENANTS)
            user = self.memories[memory].user(name)
            self.count += 1
            if self.rng.random() < 0.02:
                await self.read(memory, name, user)
            else:
                await self.rng.choice(actions)(memory, name, user)
            self._watch(memory, user)

    async def append(self, memory: int, name: str, user: UserMemory) -> None:
        text, block = self._text("a"), f"log {self.rng.randrange(2)}"
        await self._told(memory, name, text, lambda key: user.blocks.append(block, text, key=key))

    async def note(self, memory: int, name: str, user: UserMemory) -> None:
        text = self._text("n")
        await self._told(memory, name, text, lambda _: user.scratchpad.append(text), repeatable=False)

    async def increment(self, memory: int, name: str, user: UserMemory) -> None:
        """Add to what a block says by compare-and-set."""
        text = self._text("c")
        try:
            block = await user.blocks.get("count")
        except TryLater:
            return
        before, version = ("", 0) if block is None else (block.text, block.version)
        after = before + text
        await self._told(
            memory, name, text, lambda key: user.blocks.set("count", after, if_version=version, key=key)
        )

    async def set_variable(self, memory: int, name: str, user: UserMemory) -> None:
        key = f"of {self.number}"
        unsure = self.ledger.latest.setdefault((name, key), (0, []))[1]
        unsure.append(self.count)  # which it stays if the call is cancelled
        try:
            await user.variables.set(key, self.count)
        except OutcomeUnknown:
            self.ledger.events["unknown"] += 1
        except TryLater:
            unsure.pop()
            self.ledger.events["refused"] += 1
        else:
            # One of unknown outcome may arrive even now.
            self.ledger.latest[name, key] = self.count, unsure[:-1]

    async def read(self, memory: int, name: str, user: UserMemory) -> None:
        """A process sees what it wrote, or is told that nobody knows."""
        own = {text for text, by in self.ledger.sure[name].items() if by == memory and text[1] == "n"}
        try:
            found = {note.text for note in await user.scratchpad.entries()}
        except TryLater:
            return
        assert own <= found, f"a process does not see what it wrote: {sorted(own - found)[:5]}"
        self.ledger.events["read"] += 1

    async def _told(
        self,
        memory: int,
        name: str,
        text: str,
        call: Callable[[str | None], Awaitable[object]],
        *,
        repeatable: bool = True,
    ) -> None:
        """Make an edit, and note what was said of it; sometimes again, if that is not known."""
        ledger, key = self.ledger, None
        ledger.unsure[name].add(text)  # which it stays if the call is cancelled
        while True:
            try:
                await call(key)
            except OutcomeUnknown as exc:
                ledger.events["unknown"] += 1
                if not repeatable or self.rng.random() < 0.5:
                    return
                key = exc.key
            except (TryLater, VersionConflict):
                ledger.events["refused"] += 1
                if key is None:
                    ledger.unsure[name].discard(text)
                    ledger.refused[name].add(text)
                return
            else:
                ledger.unsure[name].discard(text)
                ledger.sure[name][text] = memory
                ledger.events["repeated" if key else "acknowledged"] += 1
                return

    def _text(self, kind: str) -> str:
        return f"<{kind}{self.number}.{self.count}>"

    def _watch(self, memory: int, user: UserMemory) -> None:
        """Note how long it took until somebody was answered again."""
        status = user.working.status
        if status.degraded:
            self.ledger.events["bridged"] += 1
        elif memory in self.ledger.returned:
            self.ledger.recoveries.append(anyio.current_time() - self.ledger.returned.pop(memory))


async def trouble(server: RedisServer, proxy: Proxy, ledger: Ledger, rng: random.Random) -> None:
    """Kill and stop the server at random; in between, lose replies."""
    while True:
        proxy.loses = lambda: rng.random() < LOSS
        await anyio.sleep(rng.uniform(0.5, 3.0))
        length = rng.choice([0.0, 0.1, 0.5, 1.0])
        if rng.random() < 0.5:
            server.kill()
            await anyio.sleep(length)
            await to_thread.run_sync(server.restart)
            ledger.events["killed"] += 1
        else:
            server.stop()
            await anyio.sleep(length)
            server.resume()
            ledger.events["stopped"] += 1
        for memory in range(2):
            ledger.returned.setdefault(memory, anyio.current_time())


async def heal(memories: list[Memory]) -> None:
    """Call for each tenant until the server has all."""
    with anyio.fail_after(HEALS):
        for memory in memories:
            for name in TENANTS:
                user = memory.user(name)
                while True:
                    with suppress(TryLater):
                        await user.task.get()
                    if user.working.status == THERE:
                        break
                    await anyio.sleep(0.02)


async def compare(user: UserMemory, ledger: Ledger) -> None:
    """What was acknowledged is there once or kept as a conflict; what is unknown, at most once."""
    name = user.user_id or ""
    blocks = {block.name: block.text for block in await user.blocks.list()}
    conflicts = [each.ours or "" for each in await user.working.conflicts()]
    ledger.events["conflicts"] += len(conflicts)
    placed = Counter(_split("".join(blocks.values())))
    placed.update(_split("".join(note.text for note in await user.scratchpad.entries())))
    kept = set(_split("".join(conflicts)))
    doubled = [text for text, times in placed.items() if times > 1]
    assert not doubled, f"made twice: {doubled}"
    lost = {text: by for text, by in ledger.sure[name].items() if text not in placed and text not in kept}
    assert not lost, f"acknowledged, and lost: {lost}"
    made = [text for text in ledger.refused[name] if text in placed or text in kept]
    assert not made, f"refused, and made all the same: {made}"
    known = {*ledger.sure[name], *ledger.unsure[name]}
    assert not {*placed, *kept} - known, "nobody wrote that"
    found = await user.variables.items()
    for (tenant, key), (latest, unsure) in ledger.latest.items():
        if tenant == name and latest:
            assert found.get(key) in (latest, *unsure), (key, found.get(key), latest, unsure)


def _split(text: str) -> list[str]:
    return [f"{piece}>" for piece in text.split(">")[:-1]]


async def live(server: RedisServer, seed: int) -> Ledger:
    ledger, rng = Ledger(), random.Random(seed)
    async with open_proxy(server.url) as proxy:
        options: dict[str, Any] = {"namespace": "chaos", "limits": LIMITS, "deadline": 1.5}
        async with (
            open_memory(redis=proxy.dsn, **options) as one,
            open_memory(redis=proxy.dsn, **options) as two,
            open_memory(redis=proxy.dsn, on_outage="error", **options) as strict,
        ):
            memories = [one, two, strict]
            with anyio.move_on_after(SECONDS):
                async with anyio.create_task_group() as tasks:
                    for number in range(WRITERS):
                        writer = Writer(number, memories, ledger, random.Random(rng.random()))
                        tasks.start_soon(writer.write)
                    tasks.start_soon(trouble, server, proxy, ledger, rng)
            server.resume()
            await to_thread.run_sync(server.restart)
            proxy.loses = lambda: False
            await heal(memories)
        async with open_memory(redis=server.url, **{**options, "deadline": 30.0}) as other:
            for name in TENANTS:
                await compare(other.user(name), ledger)
    return ledger


def test_what_writers_were_told_is_true_in_the_end(
    redis_server: Start, capsys: pytest.CaptureFixture[str], record_property: Callable[[str, object], None]
) -> None:
    server = redis_server(appendonly="yes", appendfsync="always")
    seed = random.randrange(2**32)
    try:
        ledger = anyio.run(live, server, seed)
    except BaseException as exc:
        exc.add_note(f"seed {seed}")
        raise
    events, recoveries = ledger.events, sorted(ledger.recoveries)
    told = (
        f"chaos of {SECONDS:g} s: {dict(events)}; seconds from the server's return to the first answer: "
        f"median {statistics.median(recoveries):.2f}, longest {recoveries[-1]:.2f}"
    )
    record_property("chaos", told)
    with capsys.disabled():
        print(f"\n{told}")  # noqa: T201
    assert all(events[name] for name in ("killed", "stopped", "acknowledged", "bridged", "unknown", "read"))
