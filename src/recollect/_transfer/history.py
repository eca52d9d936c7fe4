"""Episodes, transactions and assertions as records, and back."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from .. import _json
from .._draft import MAIN, UNDECLARED, digest, slot_of
from .._requests import MAX_SOURCES
from .._timeline import Assertion, Op
from ..errors import InvalidInput
from ..stores import NewEpisode
from ..stores.changes import FactText, Rule
from ..stores.transfer import Kept, KeptAssertion, KeptEpisode, KeptTransaction
from ..types import EmbeddingState, Limits
from .fields import Fields

if TYPE_CHECKING:
    from ..stores import Vectors

HASH = 16
"""Bytes of what stands for the content of a write, or for its key."""

MAX_REASON = 8_192
STATES = ("ready", "pending", "none")


def told(kept: Kept, *, vectors: bool) -> dict[str, Any]:
    """Return a part of a tenant's history as a record."""
    match kept:
        case KeptEpisode():
            return _told_episode(kept, vectors=vectors)
        case KeptTransaction():
            return {
                "kind": "transaction",
                "tx": kept.tx,
                "recorded_at": kept.recorded_at.isoformat(),
                "operation": kept.name,
                "session_id": kept.session_id,
                "actor": kept.actor,
                "reason": kept.reason,
                "key": kept.key.hex(),
                "digest": kept.digest.hex(),
                "undone_by": kept.undone_by,
            }
        case KeptAssertion():
            return _told_assertion(kept, vectors=vectors)


def _told_episode(kept: KeptEpisode, *, vectors: bool) -> dict[str, Any]:
    new = kept.new
    record = {
        "kind": "episode",
        "id": new.id,
        "seq": kept.seq,
        "recorded_at": kept.recorded_at.isoformat(),
        "occurred_at": new.occurred_at.isoformat(),
        "session_id": new.session_id,
        "agent_id": new.agent_id,
        "input": new.input,
        "output": new.output,
        "metadata": _json.loads(new.metadata),
        "transcript": None if new.transcript is None else _json.loads(new.transcript),
        "digest": new.digest.hex(),
    }
    if vectors:
        record["embedding_state"] = new.embedding_state
        record["vectors"] = None if new.vectors is None else [_spelled(row) for row in new.vectors]
    return record


def _told_assertion(kept: KeptAssertion, *, vectors: bool) -> dict[str, Any]:
    said = kept.said
    record: dict[str, Any] = {
        "kind": "assertion",
        "id": said.id,
        "tx": said.tx,
        "seq": said.seq,
        "op": said.op,
        "staged_in": said.branch or None,
        "subject": said.subject,
        "predicate": said.predicate,
        "valid_from": said.claimed_from.isoformat(),
        "valid_to": None if said.claimed_to is None else said.claimed_to.isoformat(),
        "onset": said.onset,
        "retracts": said.ref,
        "confidence": said.confidence,
        "sources": list(said.sources),
        "replaces": said.replaces,
    }
    if said.object is not None:  # an object may be null, too
        record["object"] = _json.loads(said.object)
    if vectors and said.op == "assert":
        text = kept.text
        record["embedding_state"] = "none" if text is None else text.embedding_state
        record["vector"] = None if text is None or text.vectors is None else _spelled(text.vectors[0])
    return record


def _spelled(vector: Any) -> str:
    return b64encode(vector.astype("<f4").tobytes()).decode("ascii")


@dataclass(slots=True)
class History:
    """What was read of a tenant's history so far: enough to see whether what comes fits.

    It remembers ids, and nothing of what they stand for.

    Attributes:
        tx, at: of the newest record.
        rules: of the predicates that are declared.
        dimensions: of the vectors; None if there are none.
        predicates: that occur.
        consolidated: the highest number of an episode that is consolidated.
        unconsolidated: numbers of those that are not.
    """

    limits: Limits
    rules: Mapping[str, Rule]
    dimensions: int | None
    tx: int = 0
    at: datetime | None = None
    episodes: int = 0
    transactions: int = 0
    assertions: int = 0
    predicates: set[str] = field(default_factory=set[str])
    consolidated: int = 0
    unconsolidated: list[int] = field(default_factory=list[int])
    _transaction: KeptTransaction | None = None
    _seq: int = -1
    _episodes: set[bytes] = field(default_factory=set[bytes])
    _places: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    _keys: set[bytes] = field(default_factory=set[bytes])
    _undone: dict[int, str] = field(default_factory=dict[int, str])

    def episode(self, given: Fields) -> KeptEpisode:
        limits = self.limits
        seq, recorded_at = self._tick(given, "seq")
        id = given.id("id")
        if (hash := digest(id)) in self._episodes:
            raise InvalidInput(given.at("id"), "is that of an earlier episode")
        self._episodes.add(hash)
        self.episodes += 1
        if given.truth("consolidated"):
            self.consolidated = seq
        else:
            self.unconsolidated.append(seq)
        metadata, spelled = given.json("metadata", limits.max_metadata_bytes)
        if not isinstance(metadata, dict):
            raise InvalidInput(given.at("metadata"), "expected an object")
        input, output = (
            given.text("input", limits.max_text_bytes),
            given.text("output", limits.max_text_bytes),
        )
        if not input.strip() and not output.strip():
            raise InvalidInput(given.at("input"), "is blank, and so is output")
        state, vectors = self._vectors(given, "vectors")
        new = NewEpisode(
            id=id,
            digest=given.digits("digest", HASH),
            session_id=given.optional("session_id", given.id),
            agent_id=given.optional("agent_id", given.id),
            input=input,
            output=output,
            occurred_at=given.instant("occurred_at"),
            metadata=spelled,
            transcript=given.optional(
                "transcript", lambda name: given.json(name, limits.max_transcript_bytes)[1]
            ),
            terms=(),
            embedding_state=state,
            vectors=vectors,
        )
        return KeptEpisode(new, seq, recorded_at)

    def transaction(self, given: Fields) -> KeptTransaction:
        tx, recorded_at = self._tick(given, "tx")
        key = given.digits("key", HASH)
        if key in self._keys:
            raise InvalidInput(given.at("key"), "is that of an earlier transaction")
        self._keys.add(key)
        self.transactions += 1
        name = given.id("operation")
        at = self._undone.pop(tx, None)
        if at is not None and name != "rollback":
            raise InvalidInput(at, "is no rollback")
        undone_by = given.optional("undone_by", lambda name: given.count(name, low=tx + 1))
        if undone_by is not None:
            self._undone.setdefault(undone_by, given.at("undone_by"))
        self._seq = -1
        self._transaction = KeptTransaction(
            tx=tx,
            recorded_at=recorded_at,
            name=name,
            session_id=given.optional("session_id", given.id),
            actor=given.optional("actor", given.id),
            reason=given.optional("reason", lambda name: given.text(name, MAX_REASON)),
            key=key,
            digest=given.digits("digest", HASH, 0),
            undone_by=undone_by,
        )
        return self._transaction

    def assertion(self, given: Fields) -> KeptAssertion:
        of = self._transaction
        tx, seq = given.count("tx"), given.count("seq", high=2**31 - 1)
        if of is None or tx != of.tx or tx != self.tx:
            raise InvalidInput(given.at("tx"), "is not that of the transaction before it")
        if seq <= self._seq:
            raise InvalidInput(given.at("seq"), "is not higher than that of the assertion before it")
        self._seq = seq
        self.assertions += 1
        said = self._said(given, of, seq)
        state: EmbeddingState = "none"
        vector: Vectors | None = None
        if said.op == "assert":
            state, vector = self._vectors(given, "vector")
        if said.object is None or said.op != "assert":
            return KeptAssertion(said)
        return KeptAssertion(
            said, FactText(digest(said.subject, said.predicate, said.object), "", (), state, vector)
        )

    def _said(self, given: Fields, of: KeptTransaction, seq: int) -> Assertion:
        op = cast("Op", given.one_of("op", ("assert", "void", "retract")))
        predicate, subject = given.id("predicate"), given.id("subject")
        self.predicates.add(predicate)
        object = self._object(given, op, subject, self.rules.get(predicate, UNDECLARED))
        claimed_from = given.instant("valid_from")
        claimed_to = given.optional("valid_to", given.instant)
        if claimed_to is not None and claimed_to <= claimed_from:
            raise InvalidInput(given.at("valid_to"), "must be after valid_from")
        onset = given.truth("onset")
        if onset and claimed_to is not None:
            raise InvalidInput(
                given.at("onset"), "has an end: what lasts until something else is known has none"
            )
        sources = given.ids("sources")
        self._check_sources(given, sources)
        said = Assertion(
            id=given.id("id"),
            tx=of.tx,
            seq=seq,
            recorded_at=of.recorded_at,
            op=op,
            branch=given.optional("staged_in", given.id) or MAIN,
            subject=subject,
            predicate=predicate,
            slot=slot_of(self.rules.get(predicate, UNDECLARED), object),
            object=object,
            claimed_from=claimed_from,
            claimed_to=claimed_to,
            onset=onset,
            ref=given.optional("retracts", given.id),
            confidence=given.number("confidence", low=0, high=1),
            sources=sources,
            session_id=of.session_id,
            actor=of.actor,
            reason=of.reason,
            replaces=given.optional("replaces", given.id),
        )
        return self._placed(given, said)

    def _object(self, given: Fields, op: Op, subject: str, rule: Rule) -> str | None:
        if not given.has("object"):
            if op == "assert" or (op == "void" and rule.cardinality == "many"):
                raise InvalidInput(given.at("object"), "is missing")
            return None
        if op == "retract":
            raise InvalidInput(given.at("object"), "belongs to what is retracted")
        value, _ = given.json("object", self.limits.max_metadata_bytes)
        text = _json.canonical(value)
        if op == "assert" and rule.key is not None:
            found = cast("dict[str, object]", value).get(rule.key) if isinstance(value, dict) else None
            if found != subject:
                raise InvalidInput(given.at("object"), "its key is not the subject")
        return text

    def _check_sources(self, given: Fields, sources: Sequence[str]) -> None:
        if len(sources) > MAX_SOURCES:
            raise InvalidInput(given.at("sources"), f"more than {MAX_SOURCES}")
        if len(set(sources)) < len(sources):
            raise InvalidInput(given.at("sources"), "names an episode twice")
        for i, source in enumerate(sources):
            if digest(source) not in self._episodes:
                raise InvalidInput(f"{given.at('sources')}[{i}]", "is no episode that came before")

    def _placed(self, given: Fields, said: Assertion) -> Assertion:
        """Return it in its slot: a retraction is where what it hides is, and claims the same."""
        if digest(said.id) in self._places:
            raise InvalidInput(given.at("id"), "is that of an earlier assertion")
        if (said.op == "retract") is not (said.ref is not None):
            raise InvalidInput(given.at("retracts"), "is there for a retraction, and only for one")
        slot = said.slot.encode()
        if said.ref is not None:
            target = self._places.get(digest(said.ref))
            if target is None:
                raise InvalidInput(given.at("retracts"), "is no assertion that came before")
            if target[:HASH] != _claim(said):
                raise InvalidInput(given.at("retracts"), "is about something else, or another time")
            slot = target[HASH:]
        self._places[digest(said.id)] = _claim(said) + slot
        return replace(said, slot=slot.decode())

    def _tick(self, given: Fields, name: str) -> tuple[int, datetime]:
        tx, recorded_at = given.count(name, low=1), given.instant("recorded_at")
        if tx <= self.tx:
            raise InvalidInput(given.at(name), "is not higher than that of the record before it")
        if self.at is not None and recorded_at <= self.at:
            raise InvalidInput(given.at("recorded_at"), "is not later than that of the record before it")
        self.tx, self.at = tx, recorded_at
        return tx, recorded_at

    def _vectors(self, given: Fields, name: str) -> "tuple[EmbeddingState, Vectors | None]":
        if self.dimensions is None:
            return "pending", None
        state = cast("EmbeddingState", given.one_of("embedding_state", STATES))
        if name == "vector":
            single = given.optional(name, given.encoded)
            rows = None if single is None else [single]
        else:
            rows = given.optional(name, lambda name: _decoded(given, name))
        if (state == "ready") is not (rows is not None):
            raise InvalidInput(given.at(name), "is there for what is ready, and only for that")
        return state, None if rows is None else _matrix(given.at(name), rows, self.dimensions)

    def end(self) -> None:
        """Refuse what is named and did not come."""
        for at in self._undone.values():
            raise InvalidInput(at, "is no transaction of these")


def _decoded(given: Fields, name: str) -> list[bytes]:
    inner = [Fields(f"{given.at(name)}[{i}]", {"": each}) for i, each in enumerate(given.list(name))]
    if not inner:
        raise InvalidInput(given.at(name), "is empty")
    return [each.encoded("") for each in inner]


def _matrix(path: str, rows: Sequence[bytes], dimensions: int) -> "Vectors":
    import numpy as np

    if any(len(row) != 4 * dimensions for row in rows):
        raise InvalidInput(path, f"must be of {dimensions} dimensions")
    matrix = np.frombuffer(b"".join(rows), dtype="<f4").reshape(len(rows), dimensions).astype(np.float32)
    norms = np.linalg.norm(matrix.astype(np.float64), axis=1)
    if not np.isfinite(norms).all() or (abs(norms - 1) > 1e-3).any():
        raise InvalidInput(path, "must be finite, and of length 1")
    return matrix


def _claim(said: Assertion) -> bytes:
    end = "" if said.claimed_to is None else said.claimed_to.isoformat()
    return digest(
        said.branch, said.subject, said.predicate, said.claimed_from.isoformat(), end, str(said.onset)
    )
