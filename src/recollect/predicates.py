"""What may be said with a predicate: its schema, and how many values it has at a time."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from pydantic import BaseModel, ValidationError

from ._checks import check_id, check_json
from ._json import canonical
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
        declared = self.named_by(type(model)) if name is None else self._declared.get(name)
        value = model.model_dump(mode="json")
        if subject is None:
            if declared is None or declared.key is None:
                raise InvalidInput("subject", "is needed: the predicate has no key")
            subject = key_of(declared.key, value, "model")
        return check_id("predicate", name if declared is None else declared.name), subject, value

    def checked(self, name: str, subject: str, value: object, *, limit: int, field: str = "object") -> str:
        """Return an object of a predicate as canonical JSON.

        Raises:
            InvalidInput: it is not JSON, not what the model says, or its key is not the subject.
        """
        predicate = self._declared.get(name)
        if isinstance(value, BaseModel):
            value = value.model_dump(mode="json")
        check_json(field, value, limit=limit)
        if predicate is None:
            return canonical(value)
        if predicate.model is not None:
            value = _validated(field, predicate.model, value)
            check_json(field, value, limit=limit)
        if predicate.key is not None and key_of(predicate.key, value, field) != subject:
            raise InvalidInput(field, f"its {predicate.key!r} is the key, and must be the subject")
        return canonical(value)


def key_of(key: str, value: object, field: str) -> str:
    """Return the subject of an object with a key."""
    found = cast("dict[str, object]", value).get(key) if isinstance(value, dict) else None
    if not isinstance(found, str):
        raise InvalidInput(field, f"needs a string as its {key!r}, which is the key")
    return found


def _validated(field: str, model: type[BaseModel], value: object) -> Any:
    try:
        return model.model_validate(value).model_dump(mode="json")
    except ValidationError as exc:
        # Only where and what kind: the message of the model may quote the value.
        first = exc.errors(include_url=False, include_context=False, include_input=False)[0]
        path = ".".join([field, *map(str, first["loc"])])
        raise InvalidInput(path, f"does not fit {model.__name__} ({first['type']})") from None
