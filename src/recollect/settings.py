"""Settings of `open_memory` that are no code: from the environment, and from profiles in a file."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache, wraps
from pathlib import Path
from types import NoneType
from typing import Any, Literal, ParamSpec, Self, TypeVar, cast, get_args, get_type_hints

from pydantic import SecretStr, TypeAdapter, ValidationError

from .errors import ConfigurationError
from .types import Limits, RecallWeights

P = ParamSpec("P")
T = TypeVar("T")

PREFIX = "RECOLLECT_"
FILE = "recollect.toml"

_OTHERS = re.compile(
    # Those of our tests, and what Kubernetes sets for a service that is called recollect.
    r"TEST_.*|(.*_)?SERVICE_(HOST|PORT)(_.*)?|(.*_)?PORT(_\d+_(TCP|UDP)(_.*)?)?"
)


_GROUPS: dict[str, type[Limits | RecallWeights]] = {"limits": Limits, "weights": RecallWeights}
"""Settings of several fields."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Arguments of `open_memory`, under the same names, as far as they are no code.

    What DSNs and URLs say is never shown. Wrong values are a `ConfigurationError`.
    """

    postgres: SecretStr | None = None
    read_postgres: SecretStr | None = None
    redis: SecretStr | None = None
    namespace: str = "default"
    limits: Limits = field(default_factory=Limits)
    weights: RecallWeights = field(default_factory=RecallWeights)
    language: str = "english"
    on_outage: Literal["local", "error"] = "local"
    on_embedding_mismatch: Literal["error", "reembed"] = "error"
    on_predicate_mismatch: Literal["error", "replace"] = "error"
    deadline: float | None = 5.0
    migrate: Literal["auto", "never"] | None = None
    schema: str = "recollect"

    def __post_init__(self) -> None:
        for name, value in _flat({each.name: getattr(self, each.name) for each in fields(self)}):
            checked = _checked(name, value, f"Settings.{name}")
            if "." not in name:
                object.__setattr__(self, name, checked)
        for name, kind in _GROUPS.items():
            if not isinstance(getattr(self, name), kind):
                msg = f"Settings.{name} must be a {kind.__name__}"
                raise ConfigurationError(msg)

    @classmethod
    def load(cls, profile: str | None = None, *, path: str | Path | None = None, **overrides: Any) -> Self:
        """Return settings from, the first that says something, `overrides`, the environment, and a profile.

        The environment has `RECOLLECT_` and the name in capitals, as `RECOLLECT_POSTGRES`; what is within
        `limits` and `weights` as `RECOLLECT_LIMITS__MAX_USERS`. A variable that is empty says nothing. A
        profile is a table of a TOML file:

            [profiles.dev]
            postgres = "embedded:./data"
            limits = { max_users = 1000 }

        In both "none" stands for None, where that may be given. Reads a small file; call it at the start.

        Args:
            profile: name of a profile; None for no file.
            path: the file; None for `recollect.toml` in the working directory.
            overrides: as arguments of `open_memory`; `limits` and `weights` may be mappings of some fields.

        Raises:
            ConfigurationError: there is no such profile or file, a key is unknown, or a value is wrong; says
                where it comes from, and never what a secret is.
        """
        if profile is None and path is not None:
            msg = "a path is that of a file with profiles; say which one of them"
            raise ConfigurationError(msg)
        found: dict[str, Any] = {}
        if profile is not None:
            found |= _profile(profile, Path(FILE if path is None else path))
        found |= _environment()
        found |= {name: _checked(name, value, f"{name}, as it was given") for name, value in _flat(overrides)}
        plain = {name: value for name, value in found.items() if "." not in name}
        for group, kind in _GROUPS.items():
            inner = {name: value for name, value in found.items() if name.startswith(f"{group}.")}
            plain[group] = kind(**{name.partition(".")[2]: value for name, value in inner.items()})
        return cls(**plain)

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of `open_memory`, with what is secret."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {
            name: value.get_secret_value() if isinstance(value, SecretStr) else value
            for name, value in values.items()
        }


def with_settings(function: Callable[P, T]) -> Callable[P, T]:
    """Give a function with keyword arguments those of its `settings`, but for what it is given itself."""

    @wraps(function)
    def filled(*args: P.args, **given: P.kwargs) -> T:
        settings = given.get("settings")
        if settings is None:
            return function(*args, **given)
        if not isinstance(settings, Settings):
            msg = "settings must be a Settings; Settings.load() makes them"
            raise ConfigurationError(msg)
        return cast("Callable[..., T]", function)(*args, **{**settings.arguments(), **given})

    return filled


def _profile(name: str, path: Path) -> dict[str, Any]:
    document = _document(path)
    profiles = document.pop("profiles", {})
    if document:
        msg = f"{path} has {', '.join(sorted(document))} beside its profiles; put it into one of them"
        raise ConfigurationError(msg)
    if not isinstance(profiles, dict) or not isinstance(cast("Any", profiles).get(name), dict):
        known = ", ".join(sorted(cast("dict[str, Any]", profiles))) if isinstance(profiles, dict) else ""
        msg = f"{path} has no profile {name!r}; " + (f"there are {known}" if known else "there is none")
        raise ConfigurationError(msg)
    given = cast("dict[str, Any]", profiles[name])
    return {
        key: _checked(key, _nothing(key, value), f"{key} in profile {name!r} of {path}")
        for key, value in _flat(given)
    }


def _document(path: Path) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        msg = f"there is no file {path} to take a profile from; make it, or give its path"
        raise ConfigurationError(msg) from None
    except OSError as exc:
        msg = f"{path} cannot be read ({exc.strerror})"
        raise ConfigurationError(msg) from None
    except ValueError:
        # Not chained: what was read is in it, and in that there may be passwords.
        msg = f"{path} is no TOML in UTF-8"
        raise ConfigurationError(msg) from None


def _environment() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for variable, text in sorted(os.environ.items()):
        short = variable.removeprefix(PREFIX)
        name = short.lower().replace("__", ".")
        if (
            not variable.startswith(PREFIX)
            or not text
            or (name not in _leaves() and _OTHERS.fullmatch(short))
        ):
            continue
        where = f"{variable} in the environment"
        found[name] = _checked(name, _number(name, _nothing(name, text)), where)
    return found


def _flat(given: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield names and values, those within limits and weights by their path."""
    for name, value in given.items():
        if name in _GROUPS and isinstance(value, Mapping):
            inner = cast("Mapping[str, Any]", value)
            yield from ((f"{name}.{key}", each) for key, each in inner.items())
        elif name in _GROUPS and isinstance(value, _GROUPS[name]):
            yield from ((f"{name}.{each.name}", getattr(value, each.name)) for each in fields(value))
        else:
            yield name, value


@lru_cache(1)
def _leaves() -> Mapping[str, Any]:
    """Return the types of all settings by name."""
    hints = get_type_hints(Settings)
    for group, kind in _GROUPS.items():
        del hints[group]
        hints |= {f"{group}.{name}": hint for name, hint in get_type_hints(kind).items()}
    return hints


@lru_cache(128)
def _reader(name: str) -> TypeAdapter[Any]:
    from ._operations import as_data

    return TypeAdapter(as_data(_leaves()[name]))


def _nothing(name: str, value: Any) -> Any:
    """Return None for "none" where that is meant: TOML and the environment have no other word for it."""
    may_be = NoneType in get_args(_leaves().get(name))
    return None if may_be and isinstance(value, str) and value.lower() == "none" else value


def _number(name: str, value: Any) -> Any:
    """Return the number that a text is, if it can be one and should be."""
    wanted = {_leaves().get(name), *get_args(_leaves().get(name))}
    for kind in (int, float):
        if isinstance(value, str) and wanted & {int, float}:
            try:
                return kind(value)
            except ValueError:
                continue
    return value


def _checked(name: str, value: Any, where: str) -> Any:
    """Return a value as it is kept.

    Raises:
        ConfigurationError: the name is unknown or the value is wrong.
    """
    group, _, inner = name.partition(".")
    if name in _GROUPS:
        msg = f"{where}: holds several settings, and is none; give them by their names"
        raise ConfigurationError(msg)
    if name not in _leaves():
        within = f"{group}." if inner and group in _GROUPS else ""
        known = [each for each in _leaves() if each.startswith(within) and ("." in each) == bool(within)]
        msg = f"{where}: no such setting; there are {', '.join(known if within else [*known, *_GROUPS])}"
        raise ConfigurationError(msg)
    try:
        value = _reader(name).validate_python(value)
    except ValidationError as exc:
        # Not chained: the value is in it.
        said = "; ".join(each["msg"] for each in exc.errors())
        msg = f"{where}: {said}"
        raise ConfigurationError(msg) from None
    if inner:
        try:
            _GROUPS[group](**{inner: value})
        except ConfigurationError as exc:
            msg = f"{where}: {exc}"
            raise ConfigurationError(msg) from None
    return value
