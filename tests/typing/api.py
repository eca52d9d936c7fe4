"""Never run: mypy and pyright read it, in strict mode. What a user writes must have the types they expect."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, assert_type

from pydantic import BaseModel

from recollect import (
    FOREVER,
    Archive,
    Block,
    BlockConflict,
    Change,
    Checkpoint,
    Commit,
    Diff,
    Embedder,
    Episode,
    EpisodeConflict,
    EpisodeDraft,
    Fact,
    FactDraft,
    FactHit,
    FactPath,
    HookError,
    InvalidInput,
    Limits,
    Memory,
    Message,
    Note,
    OutcomeUnknown,
    Page,
    Predicate,
    Proposal,
    Provenance,
    RecallWeights,
    Recollection,
    Session,
    Settings,
    Span,
    TaskState,
    TenantMap,
    Transaction,
    TryLater,
    UserMemory,
    VersionConflict,
    WorkingStats,
    WorkingStatus,
    backends,
    blocking,
    day,
    open_memory,
    ops,
)
from recollect.embedders import FunctionEmbedder
from recollect.extractors import ChatExtractor, Extractor
from recollect.inprocess import InProcessWorking
from recollect.stores import WorkingStore
from recollect.testing import (
    WORKING_CHECKS,
    WORKING_CLOCK_CHECKS,
    Check,
    Clock,
    FaultyEmbedder,
    HashEmbedder,
    WorkingCheck,
)
from recollect.types import Context, Export, ExportHeader, Garbage, Health, Indexed, MemoryStatistics, Signals
from recollect.types.consolidation import ConsolidationReport, ExtractionFailure

if TYPE_CHECKING:
    import asyncpg
    import numpy as np
    import redis.asyncio
    from numpy.typing import NDArray

    from recollect.stores import TextKind


class OwnEmbedder:
    """Structural: it need not inherit from anything."""

    model = "own"
    dimensions = 3

    async def embed(self, texts: Sequence[str], *, kind: "TextKind") -> "NDArray[np.float32]":
        raise NotImplementedError


async def composition(pool: "asyncpg.Pool[asyncpg.Record]", archive: Archive, clock: Clock) -> None:
    async with open_memory() as memory:
        assert_type(memory, Memory)
        assert_type(memory.closed, bool)
        assert_type(memory.statistics(), MemoryStatistics)
        assert_type(await memory.users(limit=3), Page[str | None])
        assert_type(await memory.gc(dry_run=False), Garbage)
        assert_type(await memory.index_vectors(), Indexed)
    async with open_memory(
        postgres=pool,
        namespace="n",
        embedder=OwnEmbedder(),
        limits=Limits(max_users=None, patience=1),
        weights=RecallWeights(recency=0.1),
        language="german",
        on_embedding_mismatch="reembed",
        deadline=None,
        migrate="auto",
        clock=clock,
        count_tokens=lambda text: len(text.split()),
        schema="mine",
    ):
        pass
    async with open_memory(postgres="embedded:./data"):
        pass
    Memory(
        working=InProcessWorking(), archive=archive, embedder=HashEmbedder(), clock=lambda: datetime.now(UTC)
    )

    open_memory(postgres=7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    open_memory("postgresql://")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    open_memory(migrate="sometimes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Memory(working=InProcessWorking(), archive=memory)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def handles(memory: Memory) -> None:
    alice = memory.user("alice", agent_id="a")
    assert_type(alice, UserMemory)
    assert_type(memory.user(None).user_id, str | None)
    assert_type(alice.at(session_id="s"), UserMemory)
    assert_type(await alice.acquire(), UserMemory)
    async with alice as held:
        assert_type(held, UserMemory)
    memory.user()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    memory.user("alice", "a")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def writing(alice: UserMemory, answer: dict[str, Any]) -> None:
    assert_type(await alice.remember("in", "out", metadata=answer, embed="later"), Episode)
    assert_type(await alice.remember_many([EpisodeDraft("in", id="e")]), tuple[Episode, ...])
    try:
        await alice.remember("in", id="e")
    except EpisodeConflict as exc:
        assert_type(exc.id, str)
    except InvalidInput as exc:
        assert_type(exc.field, str)
    except OutcomeUnknown as exc:
        assert_type(exc.key, str)
    except TryLater:
        pass
    await alice.remember("in", embed="never")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await alice.remember(b"in")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await alice.remember("in", "out", "s")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def reading(alice: UserMemory) -> None:
    hits = await alice.recall("query", mode="semantic", time_range=(None, datetime.now(UTC)), where={"k": 1})
    assert_type(hits, tuple[Recollection, ...])
    assert_type(hits[0].episode, Episode)
    assert_type(hits[0].signals, Signals)
    assert_type(hits[0].signals.semantic, float | None)
    assert_type(await alice.messages("s", limit=3), tuple[Message, ...])
    assert_type(await alice.episodes.get("e"), Episode | None)
    assert_type(await alice.episodes.count(), int)
    assert_type(await alice.episodes.embed_pending(limit=5), int)
    page = await alice.episodes.list(limit=5)
    assert_type(page, Page[Episode])
    assert_type([each.id for each in page], list[str])
    assert_type(page.items, tuple[Episode, ...])
    assert_type(page.cursor, str | None)
    assert_type(await alice.episodes.sessions(cursor=page.cursor), Page[Session])
    context = await alice.context("query", token_budget=300, format="markdown")
    assert_type(context, Context)
    assert_type(str(context), str)
    assert_type(context.facts, tuple[Fact, ...])
    assert_type(context.omitted.recollections, int)
    assert_type((await alice.profile()).recent_sessions, tuple[Session, ...])
    await alice.context(format="html")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await alice.recall("query", mode="fuzzy")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await alice.recall("query", time_range="today")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


class Address(BaseModel):
    city: str


async def facts(memory: Memory, alice: UserMemory) -> None:
    await memory.register_predicate(Predicate("lives_at", Address, cardinality="one"))
    fact = await alice.facts.add("alice", "likes", ["tea"], valid_to=FOREVER, sources=["e"], staged=True)
    assert_type(fact, Fact)
    assert_type(fact.valid_to, datetime | None)
    assert_type(await alice.facts.add_model(Address(city="Rome"), subject="alice"), Fact)
    assert_type(await alice.facts.add_many([FactDraft("a", "b", None)]), tuple[Fact, ...])
    assert_type(await alice.facts.update("f", {"city": "Rome"}, key="k"), Fact)
    assert_type(await alice.facts.correct("f", object=None, valid_to=None), Fact)
    assert_type(await alice.facts.end("a", "b", at=datetime.now(UTC)), Fact)
    start, end = day(2024, 5, 1, tz="Europe/Paris")
    assert_type(await alice.facts.deny("a", "b", valid_from=start, valid_to=end), Fact)
    assert_type(await alice.facts.retract("f", actor="bot", reason="wrong"), Fact)
    assert_type(await alice.facts.promote_session(select=lambda fact: fact.confidence > 0.5), int)
    assert_type(await alice.facts.discard_session("s"), int)
    assert_type(await alice.facts.rollback(steps=2), int)
    async with alice.facts.transaction(reason="import") as tx:
        reference = tx.add("a", "b", 1)
        assert_type(reference.fact_id, str)
        tx.retract(reference)
        await tx.correct(reference, object=2)
    assert_type(tx.results, tuple[Fact, ...])
    try:
        await alice.facts.update("f", {"a": 1})
    except VersionConflict as exc:
        assert_type(exc.current, object)
    except HookError:
        pass
    await alice.facts.add("alice", "likes")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await alice.facts.add("a", "b", 1, "2024")  # type: ignore[call-arg, arg-type]  # pyright: ignore[reportCallIssue]
    await alice.facts.add("a", "b", 1, valid_to="x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await alice.facts.correct("f", valid_from=None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Predicate("p", cardinality="two")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def believed(alice: UserMemory) -> None:
    assert_type(await alice.facts.get("f"), Fact | None)
    assert_type(await alice.facts.count(), int)
    page = await alice.facts.find("a", where={"k": 1}, valid_during=(None, datetime.now(UTC)), known_at=3)
    assert_type(page, Page[Fact])
    assert_type(page.stable, bool)
    assert_type(await alice.facts.related("a", hops=3), tuple[FactPath, ...])
    assert_type(await alice.facts.timeline("a", "b", known_at=page.basis), tuple[Span, ...])
    assert_type(await alice.facts.history("a", "b"), tuple[Fact, ...])
    diff = await alice.facts.diff(0, datetime.now(UTC))
    assert_type(diff, Diff)
    assert_type(diff.apply(page), tuple[Fact, ...])
    assert_type(await alice.facts.changes(3), Page[Change])
    assert_type(await alice.facts.journal(session_id="s"), Page[Transaction])
    assert_type(await alice.facts.why(page.items[0]), Provenance | None)
    assert_type(await alice.facts.embed_pending(limit=3), int)
    hits = await alice.recall_facts("query", valid_at=datetime.now(UTC))
    assert_type(hits, tuple[FactHit, ...])
    assert_type(hits[0].signals.lexical, float | None)
    await alice.facts.find(known_at="now")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def blocks(memory: Memory, alice: UserMemory) -> None:
    assert_type(await alice.blocks.list(inherit=True), tuple[Block, ...])
    assert_type(await alice.blocks.get("persona", inherit=True), Block | None)
    block = await alice.blocks.set("persona", "text", if_version=0, key="k")
    assert_type(block, Block)
    assert_type(block.version, int)
    assert_type(block.updated_at, datetime)
    assert_type(await alice.blocks.append("persona", "more", key="k"), Block)
    assert_type(await alice.blocks.delete("persona"), bool)
    assert_type(await alice.blocks.move("persona", 0), Block)
    assert_type(await alice.blocks.render(), str)
    assert_type(await alice.blocks.render("markdown", inherit=True), str)
    memory.user("alice", parents=[memory.user("team"), alice])
    await alice.blocks.set("persona", None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await alice.blocks.set("persona", "text", 3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await alice.blocks.move("persona", "first")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await alice.blocks.render("html")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    memory.user("alice", parents=["team"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]


async def variables(alice: UserMemory) -> None:
    await alice.variables.set("k", {"any": ["json", None]}, ttl=60)
    assert_type(await alice.variables.get("k", 3, inherit=True), Any)
    assert_type(await alice.variables.get_many(["a", "b"]), dict[str, Any])
    assert_type(await alice.variables.get_many(key for key in "ab"), dict[str, Any])
    assert_type(await alice.variables.delete("k"), bool)
    assert_type(await alice.variables.exists("k"), bool)
    assert_type(await alice.variables.keys("user:*"), list[str])
    assert_type(await alice.variables.items(), dict[str, Any])
    assert_type(await alice.variables.clear(), int)
    await alice.variables.set("k", 1, ttl="60")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await alice.variables.set("k", 1, 60)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await alice.variables.get_many(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def task_and_scratchpad(alice: UserMemory) -> None:
    state = TaskState(task_id="t", total_steps=3, context={"k": []}, started_at=datetime.now(UTC))
    assert_type(await alice.task.set(state), TaskState)
    assert_type(await alice.task.get(), TaskState | None)
    updated = await alice.task.update(current_step=1, progress_percent=50, status="running")
    assert_type(updated, TaskState | None)
    assert_type(await alice.task.clear(), bool)
    assert_type(state.progress_percent, float)
    assert_type(state.context, dict[str, Any])
    assert_type(await alice.scratchpad.append("text"), Note)
    notes = await alice.scratchpad.entries(limit=3)
    assert_type(notes, tuple[Note, ...])
    assert_type(notes[0].at, datetime)
    assert_type(await alice.scratchpad.clear(), int)
    await alice.task.set({"task_id": "t"})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await alice.task.update(1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await alice.scratchpad.append(b"text")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def checkpoints_and_status(alice: UserMemory) -> None:
    checkpoint = await alice.checkpoints.create("before the trip")
    assert_type(checkpoint, Checkpoint)
    assert_type(checkpoint.id, str)
    assert_type(await alice.checkpoints.restore(checkpoint.id), Checkpoint)
    assert_type(await alice.checkpoints.list(), tuple[Checkpoint, ...])
    assert_type(await alice.checkpoints.delete(checkpoint.id), bool)
    status = alice.working.status
    assert_type(status, WorkingStatus)
    assert_type(status.source, Literal["redis", "local"])
    assert_type(status.since, datetime | None)
    assert_type(await alice.working.stats(), WorkingStats)
    assert_type(await alice.working.health(), Health)
    conflicts = await alice.working.conflicts()
    assert_type(conflicts, tuple[BlockConflict, ...])
    assert_type(conflicts[0].ours, str | None)
    assert_type(await alice.working.resolve("c", keep="ours", text="both"), Block | None)
    await alice.checkpoints.restore(checkpoint)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await alice.working.resolve("c", keep="mine")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def on_redis(client: "redis.asyncio.Redis") -> None:
    async with open_memory(redis="redis://localhost", on_outage="error", limits=Limits(max_notes=5)):
        pass
    async with open_memory(redis=client):
        pass
    open_memory(redis=7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    open_memory(on_outage="wait")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def working_checks(store: WorkingStore, clock: Clock, published: Sequence[WorkingCheck]) -> None:
    for check in (*published, *WORKING_CHECKS):
        await check(store)
    for timed in WORKING_CLOCK_CHECKS:
        await timed(store, clock)


def hooks(memory: Memory) -> None:
    def veto(proposal: Proposal) -> None:
        for operation in proposal.operations:
            assert_type(operation.draft, FactDraft | None)

    async def index(commit: Commit) -> None:
        assert_type(commit.facts, tuple[Fact, ...])

    memory.add_hook(veto)
    memory.add_hook(index, stage="after", events=["add", "retract"])
    memory.add_hook(veto, stage="during")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    memory.add_hook(veto, events=["explode"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]


def embedders() -> Sequence[Embedder]:
    return [
        OwnEmbedder(),
        HashEmbedder(dimensions=8),
        FaultyEmbedder(OwnEmbedder()),
        FunctionEmbedder(lambda texts: [[1.0] for _ in texts], model="m", dimensions=1),
    ]


async def operations(memory: Memory, alice: UserMemory) -> None:
    op = ops.make("blocks.set", name="persona", text="brief")
    assert_type(op, ops.Op)
    assert_type(op.op, str)
    for given in (op, {"op": "blocks.list"}, '{"op": "blocks.list"}', b"{}"):
        result = await alice.dispatch(given)
        assert_type(result, ops.Result)
        if isinstance(result, ops.Done):
            assert_type(result.value, Any)
        else:
            assert_type(result, ops.Failure)
            assert_type(result.kind, ops.Kind)
            assert_type(result.key, str | None)
    assert_type(memory.supported_ops(), frozenset[str])
    assert_type(ops.tool_schemas("mcp", include=memory.supported_ops()), list[dict[str, Any]])
    assert_type(ops.from_tool_call("blocks_list", None), ops.Op)
    assert_type(ops.model("recall"), type[ops.Op])
    assert_type(ops.adapter().validate_json("{}"), ops.Op)
    ops.tool_schemas("acme")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert_type(await alice.dispatch(op, only=("recall", "facts.find")), ops.Result)
    await alice.dispatch(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


class OwnExtractor:
    """Structural, too."""

    async def extract(self, episode: Episode, /) -> list[FactDraft]:
        return [FactDraft(episode.user_id or "user", "said", episode.input)]


async def consolidation(memory: Memory, alice: UserMemory) -> None:
    async def complete(messages: Sequence[dict[str, str]]) -> str:
        return messages[-1]["content"]

    async def wrong(messages: int) -> str:
        return ""

    extractors: list[Extractor] = [OwnExtractor(), ChatExtractor(complete, predicates=[Predicate("likes")])]
    open_memory(extractor=extractors[0])
    open_memory(extractor=complete)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ChatExtractor(wrong)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    report = await alice.consolidate(limit=3)
    assert_type(report, ConsolidationReport)
    assert_type(report.failures, tuple[ExtractionFailure, ...])
    await memory.consolidate(interval=60)


async def composed(memory: Memory) -> None:
    assert_type(memory.capabilities().semantic_recall, bool)
    health = await memory.health()
    assert_type(health.ok, bool)
    assert_type(health.archive.latency, float | None)
    settings = Settings.load("dev", path="recollect.toml", deadline=None)
    assert_type(settings, Settings)
    assert_type(settings.deadline, float | None)
    async with open_memory(settings=settings, namespace="n") as opened:
        assert_type(opened, Memory)
    open_memory(settings="dev")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    backend = backends.preferred(["redis", "inprocess"])
    assert_type(backend, backends.Backend)
    assert_type(backend.is_available(), bool)
    async with backend.open("redis://localhost") as stores:
        assert_type(stores.archive, Archive | None)


async def checks(archive: Archive, published: Sequence[Check]) -> None:
    for check in published:
        await check(archive)


async def tenants() -> None:
    states = TenantMap[str, list[int]](lambda tenant: [], capacity=3, ttl=None)
    async with states.lease("a") as state:
        assert_type(state, list[int])


async def exports(memory: Memory) -> None:
    alice = memory.user("alice")
    export = await alice.export(vectors=True)
    assert_type(export, Export)
    assert_type(export.header, ExportHeader)
    assert_type(export.header.at, datetime | None)
    assert_type(export.records, tuple[dict[str, Any], ...])
    assert_type(await alice.restore(export), None)
    async for line in alice.export_lines():
        assert_type(line, str)
    assert_type(await alice.restore_lines(alice.export_lines(vectors=False)), None)
    await alice.export(True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await alice.restore([])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await alice.restore_lines(["{}"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def without_await() -> None:
    with blocking.open_memory(limits=Limits(), backend="trio") as memory:
        assert_type(memory, blocking.Memory)
        alice = memory.user("alice")
        assert_type(alice, blocking.UserMemory)
        assert_type(alice.at(session_id="s"), blocking.UserMemory)
        assert_type(alice.user_id, str | None)
        assert_type(memory.users().items, tuple[str | None, ...])
        assert_type(alice.remember("hello"), Episode)
        assert_type(alice.recall("hello"), tuple[Recollection, ...])
        assert_type(alice.blocks, blocking.Blocks)
        assert_type(alice.blocks.set("persona", "kind", if_version=0), Block)
        assert_type(alice.facts.find("alice").items, tuple[Fact, ...])
        assert_type(alice.working.status, WorkingStatus)
        with alice as leased, alice.facts.transaction(reason="moved") as transaction:
            assert_type(leased, blocking.UserMemory)
            assert_type(transaction, blocking.FactTransaction)
            transaction.correct(transaction.add("alice", "age", 30), object=31)
        assert_type(transaction.results, tuple[Fact, ...])
        for line in alice.export_lines():
            assert_type(line, str)
        memory.user("bob", parents=[alice]).restore_lines(["{}"])
        alice.recall("hello", limit="5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        memory.no_such()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    blocking.open_memory(retries=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def without_await_with_parents(memory: Memory, alice: blocking.UserMemory) -> None:
    memory.user("bob", parents=[alice])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
