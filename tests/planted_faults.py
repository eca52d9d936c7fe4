"""Faults that tests have to notice, of facts and forgetting: where, what it says, and with the fault."""

from dataclasses import dataclass

ALGEBRA = "tests/properties/test_timeline.py tests/properties/test_timeline_cases.py"
REPETITION = "tests/properties/test_repetition.py"
MACHINE = "tests/properties/test_fact_machine.py -k in_process"
BOTH = "tests/properties/test_fact_machine.py -k both_stores"
CASES = "tests/conformance/test_facts.py -k inprocess-asyncio"
COLLECTING = "tests/test_gc.py -k asyncio"
PARTITIONS = "tests/test_partitions.py -k"
RACES = "tests/faults/test_racing_erasures.py -k asyncio"
REPLICA = "tests/test_replica.py -k"


@dataclass(frozen=True)
class Fault:
    """A text that occurs once in a file of the package, and what to put in its place.

    Attributes:
        tests: arguments of pytest; at least one of these tests has to fail.
    """

    name: str
    file: str
    old: str
    new: str
    tests: str


FAULTS = [
    Fault(
        "a claim does not cover its first instant",
        "_timeline.py",
        "self.claimed_from <= instant",
        "self.claimed_from < instant",
        ALGEBRA,
    ),
    Fault(
        "a piece does not cover its first instant",
        "_timeline.py",
        "self.valid_from <= instant",
        "self.valid_from < instant",
        ALGEBRA,
    ),
    Fault(
        "an end is part of what it ends",
        "_timeline.py",
        "end is None or instant < end",
        "end is None or instant <= end",
        ALGEBRA,
    ),
    Fault(
        "a piece is still known after it was closed",
        "_timeline.py",
        "self.tx_to is None or tx < self.tx_to",
        "self.tx_to is None or tx <= self.tx_to",
        ALGEBRA,
    ),
    Fault(
        "what only touches overlaps",
        "_timeline.py",
        "(end is None or self.valid_from < end) and",
        "(end is None or self.valid_from <= end) and",
        MACHINE,
    ),
    Fault(
        "right remainder forgotten",
        "_timeline.py",
        "if end is not None and _before(end, piece.valid_to):",
        "if end is None and _before(start, piece.valid_to):",
        ALGEBRA,
    ),
    Fault(
        "left remainder forgotten",
        "_timeline.py",
        "    if piece.valid_from < start:",
        "    if False:",
        ALGEBRA,
    ),
    Fault(
        "remainder given the new record's lineage",
        "_timeline.py",
        "result.extend(_without(piece, start, end))",
        "result.extend(replace(each, assertion=new) for each in _without(piece, start, end))",
        ALGEBRA,
    ),
    Fault(
        "onset rule ignored",
        "_timeline.py",
        "if new.onset and piece.assertion.claimed_from > start:",
        "if False:",
        ALGEBRA,
    ),
    Fault(
        "onset rule compared with the piece's beginning",
        "_timeline.py",
        "if new.onset and piece.assertion.claimed_from > start:",
        "if new.onset and piece.valid_from > start:",
        ALGEBRA,
    ),
    Fault(
        "onset rule keeps what starts together",
        "_timeline.py",
        "if new.onset and piece.assertion.claimed_from > start:",
        "if new.onset and piece.assertion.claimed_from >= start:",
        ALGEBRA,
    ),
    Fault(
        "onset rule for what is bounded",
        "_timeline.py",
        "if new.onset and piece.assertion.claimed_from > start:",
        "if piece.assertion.claimed_from > start:",
        ALGEBRA,
    ),
    Fault(
        "void dropped",
        "_timeline.py",
        """        if each.op != "retract":
            pieces = _with""",
        """        if each.op == "assert":
            pieces = _with""",
        ALGEBRA,
    ),
    Fault(
        "retraction not undone by its own retraction",
        "_timeline.py",
        "        if each.id in hidden:",
        "        if each.id in hidden and each.ref is None:",
        ALGEBRA,
    ),
    Fault(
        "visible() read forwards",
        "_timeline.py",
        "for each in reversed(log):",
        "for each in [*log][::1]:",
        ALGEBRA,
    ),
    Fault(
        "closed pieces forgotten",
        "_timeline.py",
        "        closed.extend(step.closed)\n        current = now",
        "        current = now",
        ALGEBRA,
    ),
    Fault(
        "a branch covers every slot",
        "_timeline.py",
        "if above.assertion.place[1:] == piece.assertion.place[1:]:",
        "if above.assertion.place[1:3] == piece.assertion.place[1:3]:",
        ALGEBRA,
    ),
    Fault(
        "voids count as support",
        "_timeline.py",
        'if each.op == "assert" and each.object == object',
        "if each.object == object",
        ALGEBRA,
    ),
    Fault(
        "repeated, whatever the sources",
        "_repetition.py",
        "            and set(new.sources) <= set(old.sources)\n",
        "",
        REPETITION,
    ),
    Fault(
        "repeated without a source after one with",
        "_repetition.py",
        "            and bool(old.sources) == bool(new.sources)\n",
        "",
        REPETITION,
    ),
    Fault(
        "repeated after something else took ground",
        "_repetition.py",
        "return None if any(_takes_ground(each, new) for each in shown[i + 1 :]) else old",
        "return old",
        REPETITION,
    ),
    Fault(
        "repeated after a wider claim of the same lost ground",
        "_repetition.py",
        "(other.op, other.object, other.claimed_from) == (new.op, new.object, new.claimed_from)",
        "(other.op, other.object) == (new.op, new.object)",
        REPETITION,
    ),
    Fault(
        "erased sources stay named",
        "_repetition.py",
        "same = replace(each, sources=left,",
        "same = replace(each, sources=each.sources,",
        REPETITION,
    ),
    Fault(
        "retractions of what is erased stay",
        "_repetition.py",
        "            or each.ref in gone\n",
        "",
        REPETITION,
    ),
    Fault(
        "stored for the sake of what is erased",
        "_repetition.py",
        '(each.op != "retract" and each.id not in retracted and repeated(kept, same) is not None)',
        "False",
        REPETITION,
    ),
    Fault(
        "the wall clock for the tenant's",
        "_draft.py",
        "self.at = max(state.now, state.at + MICROSECOND)",
        "self.at = state.now",
        MACHINE,
    ),
    Fault(
        "an id that the same change has taken is free",
        "_draft.py",
        "taken = self._known(operation.id) if operation.chosen else None",
        "taken = self._state.by_id.get(operation.id) if operation.chosen else None",
        CASES,
    ),
    Fault(
        "rollback without the conflict check",
        "_draft.py",
        "if self._disturbed(place, first, chosen, operation.session_id):",
        "if False:",
        MACHINE,
    ),
    Fault(
        "rollback in the order it was done",
        "_draft.py",
        "undone.sort(key=lambda each: (each.tx, each.seq), reverse=True)",
        "undone.sort(key=lambda each: (each.tx, each.seq))",
        MACHINE,
    ),
    Fault("immutable unchecked", "_ledger.py", "        draft.check()\n", "", MACHINE),
    Fault(
        "a correction hides nothing",
        "_draft.py",
        "        if operation.correct:\n",
        "        if False:\n",
        MACHINE,
    ),
    Fault(
        "what is not held is replaced",
        "_draft.py",
        'if old.op != "assert" or not held or outdated:',
        'if old.op != "assert":',
        MACHINE,
    ),
    Fault(
        "promoted and still staged",
        "_draft.py",
        "            self._retract(derived(operation.id, 2 * i), each)\n            copy =",
        "            copy =",
        CASES,
    ),
    Fault(
        "what was erased comes back",
        "_draft.py",
        "if source in self._state.erased:",
        "if False:",
        MACHINE,
    ),
    Fault(
        "a void may end before it begins",
        "_draft.py",
        "if claim.end is not None and claim.end <= start:",
        "if False:",
        "tests/properties/test_drafts.py",
    ),
    Fault(
        "a key is good for any content", "_ledger.py", "if content != change.digest:", "if False:", MACHINE
    ),
    Fault(
        "slot without branch",
        "_timeline.py",
        "return self.branch, self.subject,",
        'return "", self.subject,',
        MACHINE,
    ),
    Fault(
        "tenants share what they own, in process",
        "inprocess/_tables.py",
        "-> TenantTable | None:\n        return self._by_tenant.get(tenant)",
        "-> TenantTable | None:\n        return next(iter(self), None)",
        MACHINE,
    ),
    Fault(
        "erased without folding again",
        "inprocess/_revision.py",
        "SlotTable(log, await replayed(log, pace))",
        "SlotTable(log, [p for s in slots.values() for p in s.pieces if p.assertion in log])",
        MACHINE,
    ),
    Fault(
        "closed pieces not written, in process",
        "inprocess/_fact_tables.py",
        "            self.slots[piece.assertion.place].close(piece)\n",
        "            pass\n",
        MACHINE,
    ),
    Fault(
        "slot read without tenant, in PostgreSQL",
        "postgres/sql/facts.sql",
        "tenant = given.tenant and subject = given.subject and predicate = given.predicate\n    and branch",
        "subject = given.subject and predicate = given.predicate\n    and branch",
        BOTH,
    ),
    Fault(
        "support without branch, in PostgreSQL",
        "postgres/sql/facts.sql",
        "        and s.branch = f.branch and s.slot = f.slot",
        "        and s.slot = f.slot",
        BOTH,
    ),
    Fault(
        "any branch laid over the main one, in PostgreSQL",
        "postgres/sql/facts.sql",
        "and o.slot = f.slot and o.branch = {branch}",
        "and o.slot = f.slot and o.branch <> ''",
        BOTH,
    ),
    Fault(
        "support without tenant, in PostgreSQL",
        "postgres/sql/facts.sql",
        "where s.tenant = $1 and s.subject = f.subject",
        "where s.subject = f.subject",
        BOTH,
    ),
    Fault(
        "closed pieces not written, in PostgreSQL",
        "postgres/sql/facts.sql",
        "        tx_to = given.tx_to, superseded_at",
        "        tx_to = f.tx_to, superseded_at",
        BOTH,
    ),
    Fault(
        "what was known before the clock was taken counts",
        "postgres/sql/facts.sql",
        "from clock join seen using (tenant) where (clock.tx, clock.generation) = (seen.tx, seen.generation)",
        "from clock",
        "tests/test_postgres_facts.py -k clock_moves",
    ),
    Fault(
        "the database's clock for the tenant's",
        "postgres/sql/facts.sql",
        "set tx = given.tx, at = given.at\n",
        "set tx = given.tx, at = now() + 0 * (given.at - now())\n",
        BOTH,
    ),
    Fault(
        "gc: a dry run evicts users",
        "_garbage.py",
        "if tenants.is_over(tenant) if dry_run else tenants.expire(tenant):",
        "if tenants.expire(tenant):",
        COLLECTING,
    ),
    Fault(
        "gc: a dry run removes vectors",
        "postgres/garbage.py",
        "            if dry_run:\n",
        "            if False:\n",
        COLLECTING,
    ),
    Fault(
        "gc: of the users only the first page is swept",
        "_garbage.py",
        "    while page := await",
        "    if page := await",
        COLLECTING,
    ),
    Fault(
        "gc: a part without garbage is the last one",
        "postgres/garbage.py",
        "            if not stray[0]:\n                continue\n",
        "            if not stray[0]:\n                break\n",
        COLLECTING,
    ),
    Fault(
        "gc: what was found is removed without another look",
        "postgres/sql/garbage.sql",
        "    and not exists (\n"
        "        select from {schema}.fact_text t where t.tenant = $1 and t.digest = v.digest\n"
        "        and t.embedding_state = 'ready'\n"
        "    )\n",
        "",
        COLLECTING,
    ),
    Fault(
        "gc: what is dropped between two parts comes back",
        "inprocess/_fact_tables.py",
        "            if self._edits != edits:\n                return\n",
        "",
        "tests/test_gc.py -k dropped_between",
    ),
    Fault(
        "gc: sessions in use are over",
        "inprocess/working.py",
        "over = {name for name, scope in local.scopes.items() if self._is_over(name, scope, now)}",
        "over = {name for name, scope in local.scopes.items() if name != (None, None)}",
        COLLECTING,
    ),
    Fault(
        "races: of everything the vectors go first",
        "postgres/erasing.py",
        """                row = await conn.fetchrow(self._sql["forget_everything"], tenant.key, secret)
                assert row is not None  # noqa: S101  # it selects from nothing
                await conn.execute(self._sql["drop_all_vectors"], tenant.key)
""",
        """                await conn.execute(self._sql["drop_all_vectors"], tenant.key)
                row = await conn.fetchrow(self._sql["forget_everything"], tenant.key, secret)
                assert row is not None
""",
        RACES,
    ),
    Fault(
        "races: of facts the vectors go first",
        "postgres/fact_rebuilding.py",
        """    unused = await conn.fetch(sql["drop_texts"], tenant, *columns(texts, 3))
    await conn.execute(sql["drop_vectors"], tenant, [each["digest"] for each in unused])
""",
        """    await conn.execute(sql["drop_vectors"], tenant, [each[2] for each in texts])
    await conn.execute(sql["drop_texts"], tenant, *columns(texts, 3))
""",
        RACES,
    ),
    Fault(
        "races: what an erasure has left goes when it likes",
        "postgres/sql/episodes.sql",
        "    where (select count(*) from stray) >= 0\n",
        "",
        RACES,
    ),
    Fault(
        "races: the process keeps what comes back late",
        "_embedding.py",
        "            if vector is not None and forgotten == self._forgotten:\n",
        "            if vector is not None:\n",
        "tests/test_forget.py -k while_it_is_embedded",
    ),
    Fault(
        "rim: a caller may ask for what it may not do",
        "user/dispatching.py",
        "    if only is not None and name not in only:\n",
        "    if only is None and name == '':\n",
        "tests/test_ops.py -k may_not_ask",
    ),
    Fault(
        "rim: a driver's timer keeps what was forgotten",
        "_bridge.py",
        "        _under_way.set(ref(self))\n",
        "        _under_way.set(ref(self))\n        ContextVar[object]('kept').set(self)\n",
        "tests/test_forget.py -k everything_is_forgotten_no_word",
    ),
    Fault(
        "replica: erasures are not compared",
        "postgres/_replica.py",
        "tx >= known.tx and generation >= known.generation",
        "tx >= known.tx",
        f"{REPLICA} forgotten_text",
    ),
    Fault(
        "replica: nobody takes note of what is stored",
        "postgres/episodes.py",
        "                self._saw(write.tenant, outcome)\n",
        "                pass\n",
        f"{REPLICA} has_stored",
    ),
    Fault(
        "replica: vectors that come later are not told of",
        "postgres/episodes.py",
        "        await self._postgres.advance(tenant.key)\n",
        "",
        f"{REPLICA} has_stored",
    ),
    Fault(
        "replica: what is restored is not told of",
        "postgres/transferring.py",
        "        await self._postgres.advance(tenant.key)\n",
        "",
        f"{REPLICA} restored",
    ),
    Fault(
        "replica: a tenant of which nothing is known is read from it",
        "postgres/_replica.py",
        "    ask_at: float = math.inf\n",
        "    ask_at: float = 0.0\n",
        f"{REPLICA} nothing_is_known",
    ),
    Fault(
        "replica: one that hangs takes all the time there is",
        "postgres/_replica.py",
        "min(self._patience, half_of_the_rest())",
        "math.inf",
        f"{REPLICA} hangs",
    ),
    Fault(
        "replica: one that is away is asked all the same",
        "postgres/_replica.py",
        "        given = self._circuit.admit(started)\n",
        "        given = self._circuit.admit(started + 3600)\n",
        f"{REPLICA} left_alone",
    ),
    Fault(
        "partitions: they leave rows no room to grow",
        "postgres/_partitions.py",
        'table["storage"] or ""',
        '""',
        f"{PARTITIONS} but_for_that",
    ),
    Fault(
        "partitions: any number is the one that was asked for",
        "postgres/_partitions.py",
        "    if wanted is not None and there != wanted:\n",
        "    if wanted is not None and there is None:\n",
        f"{PARTITIONS} is_refused",
    ),
    Fault(
        "partitions: a later migration forgets them",
        "postgres/_migrations.py",
        "            count = await parts_of(conn, schema)\n            check_shape(schema, count, parts)\n",
        "            check_shape(schema, await parts_of(conn, schema), parts)\n",
        f"{PARTITIONS} later_migration",
    ),
    Fault(
        "partitions: what one closes is closed for all",
        "postgres/sql/facts.sql",
        "    where f.tenant = given.tenant and f.assertion_tx = given.assertion_tx\n",
        "    where f.assertion_tx = given.assertion_tx\n",
        f"{PARTITIONS} same_place",
    ),
    Fault(
        "partitions: the users of a batch are looked for in all of them",
        "postgres/sql/episodes.sql",
        """cross join lateral (
    select generation from {schema}.tenant where tenant = given.tenant offset 0
) as of_tenant
""",
        "join {schema}.tenant as of_tenant on of_tenant.tenant = any($1::text[])\n"
        "    and of_tenant.tenant = given.tenant\n",
        f"{PARTITIONS} touches",
    ),
    Fault(
        "batches: many operations weigh as much as one",
        "_composition.py",
        "sum(map(weight_of, changes))",
        "len(changes)",
        "tests/test_fact_batches.py",
    ),
    Fault(
        "batches: whoever shares a transaction waits for its end",
        "_composition.py",
        "half_of_the_rest() / 2):\n            return await archive.facts.try_commit",
        "None):\n            return await archive.facts.try_commit",
        "tests/test_fact_batches.py",
    ),
    Fault(
        "outages: what was not answered is nothing as soon as it is sent again",
        "postgres/_errors.py",
        "attempt.unanswered or ",
        "",
        "tests/faults/test_outages.py -k sent_again",
    ),
]
