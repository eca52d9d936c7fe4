"""The memory without `await`: derived from the one with it, from threads and from plain scripts."""

import ast
import inspect
import re
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
import pytest

import recollect
from recollect import (
    ConfigurationError,
    DeadlineExceeded,
    FactDraft,
    HookError,
    InvalidInput,
    LeaseError,
    Limits,
    MemoryClosed,
    UnsupportedOperation,
    VersionConflict,
    blocking,
)
from recollect._blocking.deriving import INTERNAL
from recollect._blocking.running import AT_ONCE, open_loop
from recollect.blocking import open_memory
from recollect.testing import Clock, HashEmbedder

from .blocking_stub import ORIGINALS, STUB, stub

README = Path(__file__).parents[1] / "README.md"
DERIVED = [getattr(blocking, name) for name in blocking.__all__ if name != "open_memory"]


@pytest.fixture
def memory() -> Iterator[Any]:
    with open_memory(embedder=HashEmbedder(), clock=Clock(), deadline=60.0) as opened:
        yield opened


@pytest.fixture
def alice(memory: Any) -> Any:
    return memory.user("alice")


def threads() -> set[threading.Thread]:
    return set(threading.enumerate())


def within_a_thread(work: Callable[[], Any]) -> "tuple[threading.Thread, Future[Any]]":
    result: Future[Any] = Future()

    def run() -> None:
        try:
            result.set_result(work())
        except recollect.RecollectError as exc:
            result.set_exception(exc)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, result


# What is derived


def public(cls: type[Any]) -> dict[str, Any]:
    """Return the public members of a class, and of those it inherits from."""
    found = {name: getattr(cls, name) for name in dir(cls) if not name.startswith("_")}
    return {name: value for name, value in found.items() if name not in INTERNAL}


@pytest.mark.parametrize("cls", DERIVED, ids=lambda cls: cls.__name__)
def test_every_member_is_there_with_its_arguments_and_its_words(cls: type[Any]):
    original = ORIGINALS[cls.__name__]
    assert public(cls).keys() == public(original).keys() != set()
    assert cls.__doc__ == original.__doc__
    for name, value in public(original).items():
        derived = getattr(cls, name)
        assert derived.__doc__ == value.__doc__
        if isinstance(value, property):
            assert isinstance(derived, property)
            continue
        assert not inspect.iscoroutinefunction(derived)
        assert not inspect.isasyncgenfunction(derived)
        ours, theirs = inspect.signature(derived).parameters, inspect.signature(value).parameters
        assert [(each.name, each.kind, each.default) for each in ours.values()] == [
            (each.name, each.kind, each.default) for each in theirs.values()
        ]


def test_every_part_of_a_handle_is_derived(alice: Any):
    assert {type(part) for part in vars(recollect.UserMemory(*_inside(alice))).values()} >= {
        ORIGINALS[name] for name in ("Blocks", "Episodes", "Facts", "Working")
    }
    for name, part in vars(recollect.UserMemory(*_inside(alice))).items():
        if not name.startswith("_"):
            assert type(getattr(alice, name)) is getattr(blocking, type(part).__name__)


def _inside(alice: Any) -> tuple[Any, Any]:
    return alice._original._composition, alice._original._scope


def test_the_stub_is_of_the_classes_as_they_are():
    written = ast.parse(STUB.read_text(encoding="utf-8"))
    classes = (ast.ClassDef, ast.FunctionDef)
    ours, fresh = (
        {each.name: ast.dump(each) for each in tree.body if isinstance(each, classes)}
        for tree in (written, stub())
    )
    for name in sorted(ours.keys() | fresh.keys()):
        assert ours.get(name) == fresh.get(name), f"{name} has changed: python -m tests.blocking_stub"
    assert _imported(written) == _imported(stub()), "python -m tests.blocking_stub"


def _imported(tree: ast.Module) -> set[tuple[str | None, str]]:
    imports = (node for node in tree.body if isinstance(node, ast.ImportFrom))
    return {(node.module, alias.name) for node in imports for alias in node.names}


def test_the_stub_says_of_each_class_what_it_can_do():
    tree = ast.parse(STUB.read_text(encoding="utf-8"))
    said = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    assert said.keys() == {cls.__name__ for cls in DERIVED}
    for cls in DERIVED:
        functions = {each.name: each for each in said[cls.__name__].body if isinstance(each, ast.FunctionDef)}
        assert {name for name in functions if not name.startswith("__")} == public(cls).keys()
        for name, function in functions.items():
            member = getattr(cls, name)
            if isinstance(member, property):
                continue
            names = [arg.arg for arg in (*function.args.args, *function.args.kwonlyargs)]
            assert names == list(inspect.signature(member).parameters), name


def test_open_memory_takes_what_the_async_one_takes():
    tree = ast.parse(STUB.read_text(encoding="utf-8"))
    (function,) = (node for node in tree.body if isinstance(node, ast.FunctionDef))
    said = {arg.arg for arg in function.args.kwonlyargs}
    ours = {"backend", "backend_options"}
    assert said == inspect.signature(recollect.open_memory).parameters.keys() | ours
    with pytest.raises(TypeError, match="no_such_option"), open_memory(no_such_option=1):
        pass


# What it does


def first_program() -> str:
    """Return the program of the README, without `await`."""
    code = re.search(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert code is not None
    changes = {
        "import anyio\n": "", "from recollect import": "from recollect.blocking import",
        "async def": "def", "async with": "with", "await ": "", "anyio.run(main)": "main()",
    }  # fmt: skip
    text = code.group(1)
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    return text


def test_the_program_of_the_readme_runs_without_await():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", first_program()], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert "I moved to Lisbon last week" in done.stdout
    assert '<block name="persona">Prefers short answers.</block>' in done.stdout


def test_the_program_of_the_readme_runs_from_four_threads_at_once():
    program, together = first_program(), "from concurrent.futures import ThreadPoolExecutor\n"
    assert program.rstrip().endswith("\nmain()")
    four = "with ThreadPoolExecutor(4) as pool:\n    list(pool.map(lambda _: main(), range(4)))\n"
    code = together + program.rstrip().removesuffix("main()") + four
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count('<block name="persona">Prefers short answers.</block>') == 4


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_both_event_loops_serve(backend: str):
    with open_memory(backend=backend) as memory:
        memory.user("alice").variables.set("a", 1)
        assert memory.user("alice").variables.get("a") == 1


def test_the_options_of_the_event_loop_reach_it():
    loops: list[str] = []

    async def look(_: object) -> None:
        loops.append(type(anyio.lowlevel.current_token().native_token).__module__)

    with open_memory(backend_options={"use_uvloop": True}) as memory:
        memory.add_hook(look)
        memory.user("alice").facts.add("a", "p", 1)
    assert loops == ["uvloop"]


def test_four_threads_lose_nothing(memory: Any):
    def work(number: int) -> None:
        alice = memory.user("alice")
        for i in range(25):
            alice.blocks.append("log", f"{number}.{i};")
            alice.remember(f"thread {number} said {i}", session_id=f"s{number}")
            alice.facts.add("alice", "heard", f"{number}.{i}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    alice = memory.user("alice")
    assert len(alice.blocks.get("log").text.split(";")) == 101
    assert alice.episodes.count() == alice.facts.count() == 100
    assert len({episode.seq for episode in alice.episodes.list(limit=1000).items}) == 100


def test_threads_share_what_is_on_servers(postgres_dsn: str, shared_schema: str, redis_url: str):
    namespace = f"test-{uuid4()}"
    where = {"postgres": postgres_dsn, "schema": shared_schema, "redis": redis_url, "namespace": namespace}
    before = threads()
    with open_memory(**where, deadline=60.0) as memory, ThreadPoolExecutor(4) as pool:
        alice = memory.user("alice")
        list(pool.map(lambda i: alice.blocks.append("log", f"{i};"), range(40)))
        list(pool.map(lambda i: alice.remember(f"said {i}"), range(40)))
        assert alice.working.status.source == "redis"
    assert threads() <= before
    with open_memory(**where, deadline=60.0) as memory:
        alice = memory.user("alice")
        assert (len(alice.blocks.get("log").text.split(";")), alice.episodes.count()) == (41, 40)
        memory.user("bob").restore_lines(alice.export_lines())
        assert memory.user("bob").episodes.count() == 40


def test_a_transaction_is_a_block(alice: Any):
    with alice.facts.transaction(reason="moved") as transaction:
        transaction.add("alice", "lives_in", "Lisbon")
        added = transaction.add("alice", "age", 30)
        transaction.correct(added, object=31)
        assert alice.facts.count() == 0
    assert [fact.object for fact in transaction.results] == ["Lisbon", 30, 31]
    assert {fact.object for fact in alice.facts.find().items} == {"Lisbon", 31}


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_transaction_whose_block_raises_does_nothing(alice: Any, error: type[BaseException]):
    gathered: list[Any] = []

    def fail() -> None:
        with alice.facts.transaction() as transaction:
            transaction.add("alice", "lives_in", "Lisbon")
            gathered.append(transaction)
            raise error

    with pytest.raises(error):
        fail()
    assert alice.facts.count() == 0
    with pytest.raises(ConfigurationError, match="has ended"):
        gathered[0].add("alice", "lives_in", "Porto")


def test_a_lease_is_a_block(memory: Any, alice: Any):
    with alice as leased:
        assert leased is alice
        assert alice.acquire() is alice
        assert (alice.leases, memory.statistics().leased) == (2, 1)
        alice.release()
    assert (alice.leases, memory.statistics().leased) == (0, 0)
    with pytest.raises(LeaseError):
        alice.release()


def test_handles_are_narrowed_and_inherit(memory: Any, alice: Any):
    alice.blocks.set("persona", "kind")
    narrow = alice.at(session_id="s1")
    assert type(narrow) is blocking.UserMemory
    assert (narrow.user_id, narrow.session_id, alice.session_id) == ("alice", "s1", None)
    bob = memory.user("bob", parents=(each for each in [alice]))
    assert bob.blocks.get("persona", inherit=True).text == "kind"
    assert repr(bob) == "<UserMemory user_id='bob' namespace='default'>"


def test_properties_are_those_of_the_original(memory: Any, alice: Any):
    assert (alice.namespace, alice.agent_id, alice.closed, memory.closed) == ("default", None, False, False)
    assert alice.working.status.source == "local"
    with pytest.raises(AttributeError, match="no_such_part"):
        _ = alice.no_such_part
    with pytest.raises(AttributeError, match="_no_such_part"):
        _ = alice._no_such_part


@pytest.mark.parametrize("count", [0, 1, AT_ONCE, 3 * AT_ONCE + 1])
def test_what_is_exported_line_by_line_is_restored_line_by_line(memory: Any, alice: Any, count: int):
    drafts = [recollect.EpisodeDraft(input=f"said {i}") for i in range(count)]
    for start in range(0, count, 100):
        alice.remember_many(drafts[start : start + 100])
    lines = list(alice.export_lines())
    bob = memory.user("bob")
    bob.restore_lines(alice.export_lines())
    assert bob.episodes.count() == count
    assert len(list(bob.export_lines())) == len(lines) >= count + 2


def test_an_iterator_may_be_left_early(memory: Any, alice: Any):
    alice.remember_many([recollect.EpisodeDraft(input=f"said {i}") for i in range(3 * AT_ONCE)])
    for line in alice.export_lines():
        assert '"header"' in line
        break
    assert memory.statistics().leased == 0


def test_no_more_is_read_ahead_than_is_carried_over_together(memory: Any):
    made: list[int] = []

    async def numbers() -> AsyncGenerator[int]:
        while True:
            made.append(len(made))
            yield made[-1]

    items = numbers()
    given = memory._loop.iterate(items)
    assert [next(given), next(given)] == [0, 1]
    assert len(made) == AT_ONCE
    given.close()
    assert items.ag_frame is None


def test_lines_are_read_in_the_thread_that_asked(memory: Any, alice: Any):
    readers: set[threading.Thread] = set()

    def lines() -> Iterator[str]:
        for line in alice.export_lines():
            readers.add(threading.current_thread())
            yield line

    memory.user("bob").restore_lines(lines())
    assert readers == {threading.current_thread()}


def test_an_error_of_who_gives_the_lines_comes_through_and_nothing_is_stored(memory: Any, alice: Any):
    alice.blocks.set("persona", "kind")

    def lines() -> Iterator[str]:
        yield from list(alice.export_lines())[:1]
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        memory.user("bob").restore_lines(lines())
    assert memory.user("bob").blocks.list() == ()
    assert memory.statistics().leased == 0


def test_lines_that_are_refused_are_not_read_to_their_end(memory: Any):
    def lines() -> Iterator[str]:
        while True:
            yield "no JSON"

    with pytest.raises(InvalidInput):
        memory.user("bob").restore_lines(lines())


def test_operations_come_as_data(alice: Any):
    done = alice.dispatch({"op": "blocks.set", "name": "persona", "text": "kind"})
    assert done.value == alice.blocks.get("persona")
    with pytest.raises(UnsupportedOperation, match=r"blocks\.delete"):
        alice.dispatch({"op": "blocks.delete", "name": "persona"}, only=["blocks.get"])
    assert alice.blocks.get("persona") == done.value


# Errors


def test_an_error_keeps_its_type_its_fields_and_its_traceback(alice: Any):
    alice.blocks.set("persona", "kind")
    with pytest.raises(VersionConflict) as caught:
        alice.blocks.set("persona", "stern", if_version=7)
    assert caught.value.current.text == "kind"
    frames = {frame.name for frame in traceback.extract_tb(caught.value.__traceback__)}
    assert frames >= {"test_an_error_keeps_its_type_its_fields_and_its_traceback", "set"}
    with pytest.raises(InvalidInput, match="limit"):
        alice.recall("x", limit=0)
    with pytest.raises(TypeError, match="no_such_argument"):
        alice.recall("x", no_such_argument=1)


def test_a_call_ends_with_its_deadline():
    with (
        open_memory(limits=Limits(max_users=1, patience=600), deadline=0.5) as memory,
        memory.user("alice"),
        pytest.raises(DeadlineExceeded),
    ):
        memory.user("bob").blocks.list()


def test_a_warning_reaches_the_caller_as_an_error(memory: Any, alice: Any):
    alice.remember("hello")
    with pytest.raises(recollect.IsolationWarning):
        memory.user(None).recall("hello")


def test_what_goes_wrong_at_the_end_is_raised():
    @asynccontextmanager
    async def opened() -> AsyncGenerator[int]:
        yield 1
        raise OSError("the disk is gone")

    before = threads()
    with pytest.raises(OSError, match="the disk is gone"), open_loop(opened, backend="trio", options={}):
        pass
    assert threads() <= before


def test_a_memory_that_cannot_be_opened_leaves_no_thread():
    before = threads()
    with pytest.raises(ConfigurationError, match="on_outage"), open_memory(on_outage="no such"):
        pass
    with pytest.raises(ConfigurationError, match="backend"), open_memory(backend="no such"):
        pass
    assert threads() <= before


def test_a_pool_of_another_loop_is_refused_in_words():
    with pytest.raises(ConfigurationError, match="give its DSN"), open_memory(postgres=object()):
        pass


# The user's code


def test_code_of_the_users_is_called_sync_or_async(memory: Any, alice: Any):
    heard: list[Any] = []

    def before(proposal: Any) -> None:
        heard.append((proposal.event, threading.current_thread().name))

    async def after(commit: Any) -> None:
        await anyio.lowlevel.checkpoint()
        heard.append(commit.facts[0].object)

    memory.add_hook(before)
    memory.add_hook(after, stage="after")
    alice.facts.add("alice", "lives_in", "Lisbon")
    assert heard == [("add", "recollect"), "Lisbon"]


def test_an_extractor_and_a_reranker_are_called():
    class Extractor:
        async def extract(self, episode: Any) -> list[FactDraft]:
            return [FactDraft(subject="alice", predicate="said", object=episode.input)]

    async def rerank(_: str, texts: Any) -> list[float]:
        return [float("Porto" in text) for text in texts]

    with open_memory(extractor=Extractor(), reranker=rerank) as memory:
        alice = memory.user("alice")
        alice.remember_many(
            [recollect.EpisodeDraft(input=f"moved to {city}") for city in ("Porto", "Lisbon")]
        )
        assert alice.recall("moved to")[0].episode.input == "moved to Porto"
        alice.consolidate()
        assert alice.facts.count() == 2


def test_a_call_from_the_loop_is_refused_instead_of_waiting_for_itself(memory: Any, alice: Any):
    def hook(_: Any) -> None:
        assert alice.user_id == "alice"
        alice.blocks.list()

    memory.add_hook(hook)
    with pytest.raises(HookError) as caught:
        alice.facts.add("alice", "lives_in", "Lisbon")
    assert isinstance(caught.value.__cause__, ConfigurationError)
    assert "would wait for itself" in str(caught.value.__cause__)


def test_an_async_hook_may_call_from_another_thread(memory: Any, alice: Any):
    async def hook(_: Any) -> None:
        await anyio.to_thread.run_sync(partial(alice.blocks.set, "seen", "yes"))

    memory.add_hook(hook)
    alice.facts.add("alice", "lives_in", "Lisbon")
    assert alice.blocks.get("seen").text == "yes"


# The end


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_after_the_block_no_thread_is_left(error: type[BaseException] | None):
    before = threads()
    for _ in range(20):
        with nullcontext() if error is None else pytest.raises(error), open_memory() as memory:
            memory.user("alice").remember("hello")
            if error is not None:
                raise error
        assert threads() <= before


def test_after_the_block_every_call_is_refused(alice: Any):
    with open_memory() as memory:
        carol = memory.user("carol")
        lines = carol.export_lines()
        transaction = carol.facts.transaction()
    for refused in (
        carol.blocks.list, carol.acquire, carol.at, lambda: memory.user("carol"), memory.health,
        lambda: next(lines), transaction.__enter__, lambda: carol.restore_lines([]),
    ):  # fmt: skip
        with pytest.raises(MemoryClosed) as caught:
            refused()
        assert "async" not in str(caught.value), "what to do has no place for it here"
    assert memory.closed
    assert carol.closed


def test_a_memory_that_was_closed_within_its_block_refuses(memory: Any, alice: Any):
    memory.close()
    with pytest.raises(MemoryClosed):
        alice.blocks.list()


class Stuck:
    """A hook that tells when it is reached, does not come back, and tells when it is cancelled."""

    def __init__(self, when_reached: Callable[[], None] = lambda: None) -> None:
        self.reached, self.cancelled = threading.Event(), threading.Event()
        self.when_reached = when_reached

    async def __call__(self, _: object) -> None:
        self.reached.set()
        self.when_reached()
        try:
            await anyio.sleep_forever()
        finally:
            self.cancelled.set()


def test_the_end_cancels_what_other_threads_wait_for():
    stuck = Stuck()
    with open_memory() as memory:
        memory.add_hook(stuck)
        alice = memory.user("alice")
        thread, result = within_a_thread(partial(alice.facts.add, "alice", "lives_in", "Lisbon"))
        assert stuck.reached.wait(60)
    thread.join(60)
    assert isinstance(result.exception(0), MemoryClosed)
    assert stuck.cancelled.is_set()


def test_the_end_ends_a_round_that_goes_on_for_ever():
    class Extractor:
        async def extract(self, episode: Any) -> list[FactDraft]:
            found.set()
            return []

    found = threading.Event()
    with open_memory(extractor=Extractor()) as memory:
        memory.user("alice").remember("hello")
        thread, result = within_a_thread(partial(memory.consolidate, interval=3600))
        assert found.wait(60)
    thread.join(60)
    assert isinstance(result.exception(0), MemoryClosed)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """What a shell starts in the background ignores interrupts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_cancels_the_call_that_the_main_thread_waits_for(memory: Any, alice: Any):
    main = threading.get_ident()
    stuck = Stuck(lambda: signal.pthread_kill(main, signal.SIGINT))
    memory.add_hook(stuck, events=["add"])
    with pytest.raises(KeyboardInterrupt):
        alice.facts.add("alice", "lives_in", "Lisbon")
    assert stuck.cancelled.is_set()
    assert alice.facts.count() == 0
    assert memory.statistics().leased == 0


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_while_it_is_opened_leaves_no_thread():
    main, before = threading.get_ident(), threads()

    class Embedder(HashEmbedder):
        @property
        def model(self) -> str:
            signal.pthread_kill(main, signal.SIGINT)
            return "hash"

    with pytest.raises(KeyboardInterrupt), open_memory(embedder=Embedder()) as memory:
        memory.health()
    assert threads() <= before
