"""What may be said with a predicate: its schema, and how many values it has at a time."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any, cast

from pydantic import BaseModel, ValidationError

from ._checks import check_id, check_json
from ._json import canonical, loads
from .errors import ConfigurationError, InvalidInput
from .stores.changes import Cardinality, Rule


@dataclass(frozen=True, slots=True)
class Predicate:
    """Declares a predicate. One that is not declared has many values and takes any JSON.

    Cardinality, key and immutability are stored with the facts: every process must agree. The model may
    differ from process to process, and validates what is written.

    Attributes:
        name: of the predicate; an id.
        model: validates the object, which then is a JSON object; None for any JSON value.
        cardinality: "one" value at a time for a subject, or "many".
        key: the field of the object that is the subject; then there is one value at a time.
        immutable: a subject keeps its first value until that is retracted; then there is one at a time.
    """

    name: str
    model: type[BaseModel] | None = None
    cardinality: Cardinality = "many"
    key: str | None = None
    immutable: bool = False
    rule: Rule = field(init=False, repr=False)

    def __post_init__(self) -> None:
        try:
            check_id("name", self.name)
            if self.key is not None:
                check_id("key", self.key)
        except InvalidInput as exc:
            msg = f"Predicate.{exc.field} {exc.reason}"
            raise ConfigurationError(msg) from None
        if self.cardinality not in ("one", "many") or type(self.immutable) is not bool:
            msg = 'Predicate.cardinality is "one" or "many", Predicate.immutable a bool'
            raise ConfigurationError(msg)
        model = cast("object", self.model)
        if model is not None and not (isinstance(model, type) and issubclass(model, BaseModel)):
            msg = "Predicate.model is a pydantic model, or None"
            raise ConfigurationError(msg)
        if self.model is not None and self.key is not None and self.key not in self.model.model_fields:
            msg = f"Predicate.key {self.key!r} is not a field of {self.model.__name__}"
            raise ConfigurationError(msg)
        cardinality: Cardinality = "one" if self.key is not None or self.immutable else self.cardinality
        object.__setattr__(self, "rule", Rule(cardinality, self.key, self.immutable))


class Predicates(Mapping[str, Predicate]):
    """The predicates that a memory knows."""

    def __init__(self, declared: Iterable[Predicate] = ()) -> None:
        self._declared: dict[str, Predicate] = {}
        for predicate in declared:
            self.declare(predicate)

    def __getitem__(self, name: str) -> Predicate:
        return self._declared[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._declared)

    def __len__(self) -> int:
        return len(self._declared)

    def declare(self, predicate: Predicate) -> None:
        """Add a predicate; the same name again only if it is declared alike, but for the model."""
        if not isinstance(cast("object", predicate), Predicate):
            msg = "predicates are Predicate(...)"
            raise ConfigurationError(msg)
        known = self._declared.get(predicate.name)
        if known is not None and known.rule != predicate.rule:
            msg = f"predicate {predicate.name!r} is declared twice, with different rules"
            raise ConfigurationError(msg)
        self._declared[predicate.name] = predicate

    def named_by(self, model: type[BaseModel]) -> Predicate:
        """Return the predicate that a model belongs to.

        Raises:
            ConfigurationError: there is none, or more than one.
        """
        found = [each for each in self._declared.values() if each.model is model]
        if len(found) != 1:
            msg = f"{len(found)} predicates are declared with {model.__name__}; name the one that is meant"
            raise ConfigurationError(msg)
        return found[0]

    def rules(self) -> dict[str, Rule]:
        """Return what all processes must agree on."""
        return {name: predicate.rule for name, predicate in self._declared.items()}

    def placed(self, model: BaseModel, name: str | None, subject: str | None) -> tuple[str, str, Any]:
        """Return predicate, subject and object of a model; by default by its class and its key."""
        if not isinstance(cast("object", model), BaseModel):
            raise InvalidInput("model", f"expected a pydantic model, got {type(model).__name__}")
        name = self.named_by(type(model)).name if name is None else check_id("predicate", name)
        key = None if name not in self._declared else self._declared[name].key
        value = _dumped("model", model)
        if subject is None:
            if key is None:
                raise InvalidInput("subject", "is needed: the predicate has no key")
            subject = key_of(key, value, "model")
        return name, subject, value

    def checked(self, name: str, subject: str, value: object, *, limit: int, field: str = "object") -> str:
        """Return an object of a predicate as canonical JSON.

        Raises:
            InvalidInput: it is not JSON, not what the model says, or its key is not the subject.
        """
        predicate = self._declared.get(name)
        value = _dumped(field, value)
        text = check_json(field, value, limit=limit)
        if predicate is None or (predicate.model is None and predicate.key is None):
            # What has no keys is spelled in one way only.
            return text if isinstance(value, str | int | float) else canonical(value)
        if predicate.model is not None:
            value = _validated(field, predicate.model, text)
            check_json(field, value, limit=limit)
        if predicate.key is not None and key_of(predicate.key, value, field) != subject:
            raise InvalidInput(field, f"its {predicate.key!r} is the key, and must be the subject")
        return canonical(value)

    def named(self, name: str, value: object, *, limit: int, field: str = "object") -> str:
        """Return as canonical JSON an object that is only looked for: it need not be what the model wants.

        If it is, it is what the model would have stored, with its defaults.
        """
        predicate = self._declared.get(name)
        value = _dumped(field, value)
        text = check_json(field, value, limit=limit)
        if predicate is not None and predicate.model is not None:
            try:
                value = _validated(field, predicate.model, text)
                check_json(field, value, limit=limit)
            except InvalidInput:
                value = loads(text)
        return canonical(value)


def key_of(key: str, value: object, field: str) -> str:
    """Return the subject of an object with a key."""
    found = cast("dict[str, object]", value).get(key) if isinstance(value, dict) else None
    if not isinstance(found, str):
        raise InvalidInput(field, f"needs a string as its {key!r}, which is the key")
    return found


def _dumped(field: str, value: object) -> object:
    """Return a model as the JSON that it can be made of again; anything else as it is."""
    if not isinstance(value, BaseModel):
        return value
    try:
        # Warnings would quote what they are about.
        return value.model_dump(mode="json", round_trip=True, warnings="none")
    except Exception as exc:  # noqa: BLE001  # boundary to user code: the model's own serializers
        raise InvalidInput(field, f"{type(value).__name__} gives no JSON ({type(exc).__name__})") from None


def _validated(field: str, model: type[BaseModel], text: str) -> Any:
    """Return what a model makes of JSON: as JSON, by the names of its fields, with its defaults."""
    try:
        # As JSON, so that a strict model takes a date for what it is there: a string.
        return _dumped(field, model.model_validate_json(text, by_alias=True, by_name=True))
    except InvalidInput:
        raise
    except ValidationError as exc:
        # Only where and what kind: the message of the model may quote the value.
        first = exc.errors(include_url=False, include_context=False, include_input=False)[0]
        path = ".".join([field, *_told(model, first["loc"])])
        raise InvalidInput(path, f"does not fit {model.__name__} ({first['type']})") from None
    except Exception as exc:  # noqa: BLE001  # boundary to user code: the model's own validators
        raise InvalidInput(field, f"{model.__name__} failed ({type(exc).__name__})") from None


def _told(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """Return how far a path names fields and positions: a key of a dict is the user's text."""
    try:
        names = {name for by_alias in (True, False) for name in _fields(model.model_json_schema(by_alias))}
    except Exception:  # noqa: BLE001  # boundary to user code: not every model has a schema
        names = set(model.model_fields)
    return [str(part) for part in takewhile(lambda part: isinstance(part, int) or part in names, path)]


def _fields(schema: object) -> Iterator[str]:
    """Yield the names of the properties in a schema, however deep."""
    if isinstance(schema, list):
        for each in cast("list[object]", schema):
            yield from _fields(each)
    elif isinstance(schema, dict):
        for name, each in cast("dict[str, object]", schema).items():
            yield from _fields(each)
            if name == "properties" and isinstance(each, dict):
                yield from cast("dict[str, object]", each)
