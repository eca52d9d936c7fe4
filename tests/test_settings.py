"""Settings from arguments, the environment and profiles: who wins, what is refused, what is never shown."""

import inspect
import logging
import os
import pickle
import traceback
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from recollect import ConfigurationError, Limits, RecallWeights, Settings, StoreUnavailable, open_memory

CANARY = "canary-5e1f"
DSN = f"postgresql://user:{CANARY}@127.0.0.1:1/app"

FILE = """
[profiles.dev]
postgres = "embedded:./data"
namespace = "from-profile"
deadline = 2
language = "german"
limits = { max_users = 10, patience = 1.5, variable_ttl = "none" }

[profiles.prod]
redis = "rediss://cache"
deadline = "none"
on_outage = "error"

[profiles.prod.weights]
recency = 0.25
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a file of profiles, and an environment that says nothing."""
    for name in os.environ:
        if name.startswith("RECOLLECT_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recollect.toml").write_text(FILE)
    return tmp_path


def said(exc: BaseException) -> str:
    return "".join(traceback.format_exception(exc)) + repr(exc) + str(exc.args)


def test_settings_are_the_arguments_of_open_memory_that_are_no_code() -> None:
    code = {
        "embedder",
        "reranker",
        "predicates",
        "on_conflict",
        "on_evict",
        "clock",
        "count_tokens",
        "settings",
    }
    defaults = {name: each.default for name, each in inspect.signature(open_memory).parameters.items()}
    assert set(defaults) - {each.name for each in fields(Settings)} <= code | {"extractor"}
    assert Settings().arguments().items() <= defaults.items()
    assert Settings.load() == Settings()


def test_an_environment_of_variables_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in {
        "POSTGRES": DSN, "READ_POSTGRES": DSN, "REDIS": "redis://cache", "NAMESPACE": "app",
        "LANGUAGE": "french", "ON_OUTAGE": "error",
        "ON_EMBEDDING_MISMATCH": "reembed", "ON_PREDICATE_MISMATCH": "replace", "DEADLINE": "2.5",
        "MIGRATE": "auto", "SCHEMA": "mine", "LIMITS__MAX_USERS": "7", "LIMITS__USER_IDLE_TTL": "None",
        "WEIGHTS__RECENCY": "1",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"RECOLLECT_{name}", text)
    assert Settings.load() == Settings(
        postgres=SecretStr(DSN),
        read_postgres=SecretStr(DSN),
        redis=SecretStr("redis://cache"),
        namespace="app",
        language="french",
        on_outage="error",
        on_embedding_mismatch="reembed",
        on_predicate_mismatch="replace",
        deadline=2.5,
        migrate="auto",
        schema="mine",
        limits=Limits(max_users=7, user_idle_ttl=None),
        weights=RecallWeights(recency=1),
    )


def test_a_profile_is_read() -> None:
    assert Settings.load("dev") == Settings(
        postgres=SecretStr("embedded:./data"),
        namespace="from-profile",
        deadline=2,
        language="german",
        limits=Limits(max_users=10, patience=1.5, variable_ttl=None),
    )
    assert Settings.load("prod") == Settings(
        redis=SecretStr("rediss://cache"),
        deadline=None,
        on_outage="error",
        weights=RecallWeights(recency=0.25),
    )


def test_a_profile_of_another_file_is_read(here: Path) -> None:
    other = here / "other.toml"
    other.write_text('[profiles.dev]\nnamespace = "other"')
    assert (
        Settings.load("dev", path=other).namespace
        == Settings.load("dev", path=str(other)).namespace
        == "other"
    )


def test_arguments_win_over_the_environment_which_wins_over_the_profile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RECOLLECT_NAMESPACE", "from-environment")
    monkeypatch.setenv("RECOLLECT_LANGUAGE", "french")
    monkeypatch.setenv("RECOLLECT_LIMITS__MAX_USERS", "20")
    monkeypatch.setenv("RECOLLECT_POSTGRES", "none")
    found = Settings.load("dev", namespace="given", limits={"max_batch": 3})
    assert (found.namespace, found.language, found.deadline, found.schema) == (
        "given",
        "french",
        2,
        "recollect",
    )
    assert found.limits == Limits(max_users=20, patience=1.5, max_batch=3)
    assert found.postgres is None
    assert Settings.load("dev", limits=Limits(max_batch=3)).limits == Limits(max_batch=3)
    assert Settings.load("dev", deadline=None).deadline is None


def test_a_variable_that_is_empty_or_of_somebody_else_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in {
        "RECOLLECT_NAMESPACE": "", "RECOLLECT_NOTHING": "", "RECOLLECT_TEST_POSTGRES": DSN,
        "RECOLLECTION": "x",
        "RECOLLECT_SERVICE_HOST": "10.0.0.1", "RECOLLECT_PORT": "tcp://10.0.0.1:5432",
        "RECOLLECT_POSTGRES_PORT_5432_TCP_ADDR": "10.0.0.1", "RECOLLECT_REDIS_SERVICE_PORT_TLS": "6379",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, text)
    assert Settings.load() == Settings()


WRONG: list[tuple[str, str]] = [
    ("RECOLLECT_POSTGERS", DSN),
    ("RECOLLECT_LIMITS", CANARY),
    ("RECOLLECT_LIMITS__MAX_USER", CANARY),
    ("RECOLLECT_LIMITS__MAX_USERS", CANARY),
    ("RECOLLECT_LIMITS__MAX_USERS", "1.5"),
    ("RECOLLECT_LIMITS__MAX_USERS", "0"),
    ("RECOLLECT_WEIGHTS__PASSAGE", "2"),
    ("RECOLLECT_WEIGHTS__RECENCY", "nan"),
    ("RECOLLECT_DEADLINE", DSN),
    ("RECOLLECT_MIGRATE", CANARY),
    ("RECOLLECT_ON_OUTAGE", "none"),
]


@pytest.mark.parametrize(("variable", "text"), WRONG)
def test_a_wrong_variable_is_named_and_not_quoted(
    variable: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, text)
    with pytest.raises(ConfigurationError, match=f"{variable} in the environment") as caught:
        Settings.load()
    assert CANARY not in said(caught.value)


@pytest.mark.parametrize(
    ("body", "key"),
    [
        (f'postgers = "{DSN}"', "postgers"),
        ("postgres = 7", "postgres"),
        (f'deadline = "{DSN}"', "deadline"),
        ("deadline = true", "deadline"),
        ("namespace = 7", "namespace"),
        (f'limits = "{CANARY}"', "limits"),
        ("limits.max_users = 1.5", "limits.max_users"),
        (f'limits.password = "{CANARY}"', "limits.password"),
        ("weights.bm25_b = 3", "weights.bm25_b"),
        (f'schema.name = "{CANARY}"', "schema"),
    ],
)
def test_a_wrong_key_of_a_profile_is_named_with_its_place_and_its_value_not_quoted(
    body: str, key: str, here: Path
) -> None:
    (here / "recollect.toml").write_text(f"[profiles.dev]\n{body}")
    with pytest.raises(ConfigurationError, match=f"^{key} in profile 'dev' of recollect.toml: ") as caught:
        Settings.load("dev")
    assert CANARY not in said(caught.value)


@pytest.mark.parametrize(
    "given",
    [
        {"postgers": DSN}, {"postgres": [DSN]}, {"deadline": DSN}, {"limits": CANARY},
        {"limits": {"max_users": CANARY}},
        {"limits": {"max_users": 0}}, {"migrate": CANARY}, {"namespace": None}, {"deadline": True},
    ],
    ids=lambda given: next(iter(given)),
)  # fmt: skip
def test_a_wrong_argument_is_named_and_not_quoted(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(given))) as caught:
        Settings.load(**given)
    assert CANARY not in said(caught.value)
    if set(given) <= {each.name for each in fields(Settings)}:
        with pytest.raises(ConfigurationError, match=next(iter(given))) as caught:
            Settings(**given)
        assert CANARY not in said(caught.value)


def test_an_unknown_profile_is_answered_with_those_there_are() -> None:
    with pytest.raises(ConfigurationError, match="no profile 'staging'; there are dev, prod"):
        Settings.load("staging")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "there is none"),
        ("profiles = 7", "there is none"),
        ("profiles.dev = 7", "no profile 'dev'"),
        ('namespace = "n"\n[profiles.dev]', "namespace beside its profiles"),
        (f"[profiles.dev]\npostgres = {DSN}", "no TOML"),
        ("\udcff", "no TOML in UTF-8"),
        (None, "no file"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_its_name(
    text: str | None, match: str, here: Path
) -> None:
    file = here / "recollect.toml"
    file.unlink()
    if text is not None:
        file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(
        ConfigurationError, match=f"recollect.toml.*{match}|{match}.*recollect.toml"
    ) as caught:
        Settings.load("dev")
    assert CANARY not in said(caught.value)


def test_a_directory_is_no_file_and_a_path_needs_a_profile(here: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        Settings.load("dev", path=here)
    with pytest.raises(ConfigurationError, match="profile"):
        Settings.load(path="recollect.toml")


def test_a_secret_is_kept_and_never_shown() -> None:
    found = Settings.load(postgres=DSN, read_postgres=DSN, redis=f"redis://:{CANARY}@cache")
    assert found.arguments()["postgres"] == DSN
    assert found.postgres is not None
    for shown in (repr(found), str(found), f"{found}", f"{found.postgres}", repr(found.redis)):
        assert CANARY not in shown
    assert pickle.loads(pickle.dumps(found)) == found
    with pytest.raises(AttributeError):
        found.postgres = None  # type: ignore[misc]


async def test_a_memory_is_opened_with_settings_and_what_is_given_beside_them_wins() -> None:
    settings = Settings(namespace="from-settings", limits=Limits(max_batch=1))
    async with open_memory(settings=settings) as memory:
        assert memory.user("alice").namespace == "from-settings"
    async with open_memory(settings=settings, namespace="default", limits=Limits()) as memory:
        assert memory.user("alice").namespace == "default"
        await memory.user("alice").facts.add_many([])
    async with open_memory(settings=Settings(postgres=SecretStr(DSN)), postgres=None) as memory:
        assert memory.capabilities().archive == "inprocess"


@pytest.mark.parametrize("wrong", [{}, "dev", 7])
async def test_what_are_no_settings_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"Settings\.load"):
        async with open_memory(settings=wrong):
            pytest.fail("it was opened")


@pytest.mark.parametrize("place", ["postgres", "redis"])
async def test_a_server_that_does_not_answer_does_not_give_the_secret_away(
    place: str,
    caplog: pytest.LogCaptureFixture,
    redis_server: object,  # not started: for the event loops that drivers run on
) -> None:
    caplog.set_level(logging.DEBUG)
    url = {"postgres": DSN, "redis": f"redis://user:{CANARY}@127.0.0.1:1/0"}[place]
    settings = Settings.load(**{place: url}, on_outage="error")
    with pytest.raises(StoreUnavailable) as caught:
        async with open_memory(settings=settings):
            pytest.fail("it was opened")
    assert CANARY not in f"{caught.value} {caught.value!r}"
    assert CANARY not in caplog.text
