"""A language model as an extractor: what it is asked, and what becomes of its answers."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest

from recollect import ConfigurationError, Predicate, open_memory
from recollect.extractors import ChatExtractor

from .conftest import Connect

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


class Model:
    """Gives prepared answers, and notes what it was asked."""

    def __init__(self, *answers: str | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[Sequence[dict[str, str]]] = []

    async def __call__(self, messages: Sequence[dict[str, str]]) -> str:
        self.asked.append(messages)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def fact(**fields: Any) -> dict[str, Any]:
    return {"subject": "alice", "predicate": "lives_in", "object": "Lisbon", **fields}


async def test_what_a_model_answers_is_remembered(connect: Connect) -> None:
    model = Model(f"Here:\n```json\n{json.dumps({'facts': [fact(valid_from='2024-04', confidence=2)]})}\n```")
    async with connect(extractor=ChatExtractor(model)) as memory:
        alice = memory.user("alice")
        await alice.remember("I moved to Lisbon last month", "Nice!", id="e", occurred_at=NOON)
        assert (await alice.consolidate()).facts == 1
        (found,) = await alice.facts.find(valid_at=NOON)
        assert (found.object, found.valid_from) == ("Lisbon", datetime(2024, 4, 1, tzinfo=UTC))
        assert (found.confidence, found.sources) == (1.0, ("e",))


async def test_the_model_is_told_who_and_when_and_what_may_be_said() -> None:
    model = Model("[]", "[]")
    async with open_memory(
        extractor=ChatExtractor(model, predicates=[Predicate("lives_in")], instructions="Only homes.")
    ) as memory:
        await memory.user("alice").remember("I <b>moved</b>", "Nice!", occurred_at=NOON)
        await memory.user("alice").consolidate()
        await memory.user(None).remember("Hello")
        await memory.user(None).consolidate()
    (system, user), (anonymous, _) = model.asked
    assert (system["role"], user["role"]) == ("system", "user")
    assert system["content"].startswith("Only homes.")
    assert '"enum":["lives_in"]' in system["content"]
    assert 'Call the user "alice"' in system["content"]
    assert 'Call the user "user"' in anonymous["content"]
    assert 'at="2024-05-01T12:00:00+00:00"' in user["content"]
    assert "<user>I &lt;b&gt;moved&lt;/b&gt;</user>" in user["content"]
    assert "<assistant>Nice!</assistant>" in user["content"]


async def test_an_answer_that_cannot_be_read_fails_its_episode_until_one_can(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    answers = ("I cannot do that.", json.dumps([fact(subject=3)]), RuntimeError("no credit"))
    model = Model(*answers, json.dumps([fact()]))
    async with connect(extractor=ChatExtractor(model)) as memory:
        alice = memory.user("alice")
        await alice.remember("I moved to Lisbon", id="e")
        for error in ("InvalidInput", "InvalidInput", "RuntimeError"):
            report = await alice.consolidate()
            assert [(each.episode_id, each.error) for each in report.failures] == [("e", error)]
            assert "Lisbon" not in repr(report) + caplog.text
        assert (await alice.consolidate()).facts == 1


async def test_an_answer_that_never_comes_is_given_up() -> None:
    async def never(messages: object) -> str:
        await anyio.sleep_forever()
        raise AssertionError

    async with open_memory(extractor=ChatExtractor(never, timeout=0.01)) as memory:
        alice = memory.user("alice")
        await alice.remember("hello")
        with anyio.fail_after(30):
            report = await alice.consolidate()
        assert [failure.error for failure in report.failures] == ["TimeoutError"]


@pytest.mark.parametrize("given", [{"complete": "gpt"}, {"predicates": ["lives_in"]}])
def test_what_cannot_work_is_refused_at_once(given: dict[str, Any]) -> None:
    parts: dict[str, Any] = {"complete": Model(), **given}
    with pytest.raises(ConfigurationError):
        ChatExtractor(**parts)
