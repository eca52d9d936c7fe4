"""What is accepted reads back equal: texts, ids, JSON and instants that hypothesis makes up."""

import unicodedata
from datetime import UTC, datetime, timedelta, timezone
from uuid import uuid4

from hypothesis import assume, given
from hypothesis import strategies as st

from recollect import Memory, TaskState
from recollect._json import dumps

CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
TEXTS = st.text(CHARACTERS, max_size=200)
IDS = (
    st.text(CHARACTERS, min_size=1, max_size=60)
    .map(lambda text: unicodedata.normalize("NFC", text))
    .filter(lambda text: text.strip() and len(text.encode()) <= 256)
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
# So that no offset moves them out of the years 1..9999.
FIRST, LAST = datetime(1, 1, 2), datetime(9999, 12, 30)  # noqa: DTZ001
INSTANTS = st.datetimes(FIRST, LAST, timezones=OFFSETS | st.just(UTC))


@given(
    input=TEXTS.filter(str.strip), output=TEXTS, session_id=IDS | st.none(), agent_id=IDS | st.none(), id=IDS
)
async def test_texts_and_ids_read_back_equal(memory: Memory, input, output, session_id, agent_id, id) -> None:
    alice = memory.user(str(uuid4()), agent_id=agent_id)
    stored = await alice.remember(input, output, session_id=session_id, id=id)
    assert await alice.episodes.get(id) == stored
    assert (stored.input, stored.output, stored.session_id, stored.agent_id) == (
        input,
        output,
        session_id,
        agent_id,
    )


@given(metadata=st.dictionaries(TEXTS, JSON, max_size=4), transcript=JSON)
async def test_json_reads_back_equal(memory: Memory, metadata, transcript) -> None:
    alice = memory.user(str(uuid4()))
    stored = await alice.remember("hello", metadata=metadata, transcript=transcript)
    (found,) = await alice.episodes.list()
    assert found == stored
    # As text, because in Python True equals 1 and 1 equals 1.0.
    assert dumps(found.metadata) == dumps(metadata)
    assert dumps(found.transcript) == dumps(transcript)


@given(occurred_at=INSTANTS)
async def test_instants_read_back_equal(memory: Memory, occurred_at: datetime) -> None:
    alice = memory.user(str(uuid4()))
    await alice.remember("hello", occurred_at=occurred_at)
    (found,) = await alice.episodes.list()
    assert found.occurred_at == occurred_at
    assert found.occurred_at.utcoffset() == timedelta(0)


@given(name=IDS, key=IDS.filter(lambda key: "." not in key), value=JSON)
async def test_users_and_filters_find_what_they_name(memory: Memory, name, key, value) -> None:
    assume(not (isinstance(value, dict) and any(key.startswith("$") for key in value)))  # an operator
    user = memory.user(name, namespace=str(uuid4()))
    await user.remember("other", metadata={key: [value]}, session_id="s")
    wanted = await user.remember("wanted", metadata={key: value}, session_id="s")
    (hit,) = await user.recall("", where={key: value})
    assert hit.episode == wanted
    assert (await memory.users(namespace=user.namespace)).items == (name,)


@given(
    user=IDS, agent=IDS | st.none(), session=IDS | st.none(), names=st.dictionaries(IDS, TEXTS, max_size=4)
)
async def test_blocks_and_variables_of_any_name_read_back_equal(
    seated_memory: Memory, user, agent, session, names
) -> None:
    alice = seated_memory.user(user, agent_id=agent, session_id=session, namespace=str(uuid4()))
    for name, text in names.items():
        await alice.blocks.set(name, text)
        await alice.blocks.append(name, text)
        await alice.variables.set(name, {text: text})
        await alice.scratchpad.append(text)
    found = await alice.blocks.list()
    assert [(block.name, block.text) for block in found] == [(name, text * 2) for name, text in names.items()]
    assert await alice.variables.items() == {name: {text: text} for name, text in names.items()}
    assert [note.text for note in await alice.scratchpad.entries()] == [*names.values()]


@given(value=JSON, context=st.dictionaries(TEXTS, JSON, max_size=4), instant=INSTANTS)
async def test_values_and_contexts_read_back_equal(seated_memory: Memory, value, context, instant) -> None:
    alice = seated_memory.user(str(uuid4()))
    await alice.variables.set("v", value)
    assert dumps(await alice.variables.get("v")) == dumps(value)
    stored = await alice.task.set(TaskState(task_id="t", context=context, started_at=instant))
    assert stored.started_at == instant
    assert dumps(stored.context) == dumps(context)
    assert await alice.task.get() == stored
