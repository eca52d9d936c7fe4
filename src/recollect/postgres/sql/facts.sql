-- name: clock
-- Taken first: the lock of the tenant. The instants are looked up when it has been granted.
insert into {schema}.tenant as t (tenant, namespace, user_id, tx, at)
values ($1, $2, $3, 0, coalesce($4, clock_timestamp()) - interval '1 microsecond')
on conflict (tenant) do update set tx = t.tx
returning tenant, tx, at, secret, coalesce($4, clock_timestamp()) as now

-- name: free_clocks
-- The same of several tenants, but for those that are new, or locked by somebody else; and with them what is
-- `known`. That is of before the clock was taken: a tenant whose clock has moved since then is left out.
with known as (
    {known}
), seen as (
    select given.tenant, t.tx, t.generation
    from unnest($11::text[]) as given (tenant)
    cross join lateral (
        select tx, generation from {schema}.tenant where tenant = given.tenant offset 0
    ) as t
), free as materialized (
    select t.tenant from unnest($11::text[]) as given (tenant) join {schema}.tenant t using (tenant)
    for no key update of t skip locked
), clock as (
    update {schema}.tenant t set tx = t.tx from free where t.tenant = free.tenant
    returning t.tenant, t.tx, t.generation, t.at, coalesce($12, clock_timestamp()) as now
)
select known.*, null::timestamptz as now from known
union all
select clock.tenant, 'clock', null, null, clock.tx, null, clock.at, null, null, null, clock.now
from clock join seen using (tenant) where (clock.tx, clock.generation) = (seen.tx, seen.generation)

-- name: known
-- What is asked for by name, in rows of one shape. Of what erasure left nothing, there is nothing to undo.
select
    null as tenant, 'rule' as kind, name, null::bytea as digest, null::bigint as tx, null::bytea as content,
    null::timestamptz as at, cardinality, key, immutable
from {schema}.predicate where name = any($1::text[])
union all
select given.tenant, 'key', null, h.key_hash, h.tx, h.digest, null, null, null, null
from unnest($2::text[], $3::bytea[]) as given (tenant, key_hash)
cross join lateral (
    select * from {schema}.fact_transaction
    where tenant = given.tenant and key_hash = given.key_hash offset 0
) as h
union all
select given.tenant, 'source', given.id, null, null, null, e.occurred_at, null, null, null
from unnest($4::text[], $5::text[]) as given (tenant, id)
cross join lateral (
    select * from {schema}.episode where tenant = given.tenant and id = given.id offset 0
) as e
union all
select given.tenant, 'said', null, given.digest, null, null, null, null, null, null
from unnest($6::text[], $7::bytea[]) as given (tenant, digest)
where exists (
    select from {schema}.assertion where tenant = given.tenant and text_digest = given.digest offset 0
)
union all
select given.tenant, 'erased', given.id, given.key_hash, null, null, null, null, null, null
from (
    select *, 'key'::bytea || key_hash as content, null as id
    from unnest($2::text[], $3::bytea[]) as given (tenant, key_hash)
    union all
    select tenant, null, 'episode'::bytea || convert_to(id, 'UTF8'), id
    from unnest($4::text[], $5::text[]) as given (tenant, id)
) as given
cross join lateral (
    select secret from {schema}.tenant where tenant = given.tenant and secret is not null offset 0
) as t
where exists (
    select from {schema}.tombstone
    where tenant = given.tenant and digest = sha256(t.secret || given.content) offset 0
)
union all
select given.tenant, 'step', given.session_id, null, newest.tx, null, null, null, null, null
from unnest($8::text[], $9::text[], $10::bigint[]) as given (tenant, session_id, steps)
cross join lateral (
    select tx from {schema}.fact_transaction h
    where tenant = given.tenant and coalesce(h.session_id, '') = coalesce(given.session_id, '')
    and undone_by is null and name <> 'rollback'
    and exists (select from {schema}.assertion a where a.tenant = given.tenant and a.tx = h.tx)
    order by tx desc limit given.steps
) as newest

-- name: wanted
select {assertion} from {schema}.assertion a where a.tenant = $1 and a.tx = any($2::bigint[])
union all
select {assertion} from {schema}.assertion a where a.tenant = $1 and a.id = any($3::text[])
union all
select {assertion}
from unnest($4::text[], $5::text[]) as given (subject, predicate)
join {schema}.assertion a
    on a.tenant = $1 and a.subject = given.subject and a.predicate = given.predicate and a.branch = ''
union all
select {assertion} from {schema}.assertion a
where a.tenant = $1 and a.branch = any($6::text[]) and a.branch <> ''

-- name: logs
-- Each slot has a row at least, for the rule of its predicate; an assertion one for each current piece.
-- "offset 0": looked up slot by slot, even if the planner, knowing nothing yet of a tenant, takes it for small.
select
    given.tenant as of_tenant, given.predicate as of_predicate, r.cardinality, r.key, r.immutable,
    {assertion}, {piece}
from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
    as given (tenant, branch, subject, predicate, slot)
left join {schema}.predicate r on r.name = given.predicate
left join lateral (
    select * from {schema}.assertion
    where tenant = given.tenant and subject = given.subject and predicate = given.predicate
    and branch = given.branch and slot = given.slot
    offset 0
) as a on true
left join lateral (
    select * from {schema}.fact
    where tenant = given.tenant and assertion_tx = a.tx and assertion_seq = a.seq and tx_to is null
    offset 0
) as f on true
order by a.tx, a.seq, f.valid_from

-- name: grounds
-- The current pieces of slots that end after an instant. Subject and predicate are compared as a row: only the
-- index that begins with both can be used so. By columns, that of the predicate looks as good to a planner who
-- knows nothing yet of the table, and all that is said with a predicate is read each time.
select given.tenant as of_tenant, {assertion}, {piece}
from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[])
    as given (tenant, branch, subject, predicate, slot, start)
cross join lateral (
    select * from {schema}.fact
    where tenant = given.tenant and tx_to is null
    and (subject, predicate) >= (given.subject, given.predicate)
    and (subject, predicate) <= (given.subject, given.predicate)
    and branch = given.branch and slot = given.slot
    and (valid_to is null or valid_to > given.start)
    offset 0
) as f
cross join lateral (
    select * from {schema}.assertion
    where tenant = given.tenant and tx = f.assertion_tx and seq = f.assertion_seq
    offset 0
) as a

-- name: commit
-- Everything that changes, in one statement. Arrays within arrays go over as text. Rows are looked up one by
-- one, each in the partition of its tenant: the settings of its transaction rule out all else.
-- Vectors of an embedder that was replaced meanwhile stay out; $76 is null if none was adopted.
-- A vector that is there already was left by an erasure. It goes first, which the count sees to; what comes
-- in its place is another row, so that a sweep that has seen the old one does not take the new one.
with embedder as (
    select $76::text is null or exists (
        select from {schema}.embedder where model = $76 and dimensions = $77::int
    ) as same
), clock as (
    update {schema}.tenant t set tx = given.tx, at = given.at
    from unnest($1::text[], $2::bigint[], $3::timestamptz[]) as given (tenant, tx, at)
    where t.tenant = given.tenant
), header as (
    insert into {schema}.fact_transaction (
        tenant, tx, recorded_at, name, session_id, actor, reason, key_hash, digest, undone_by
    )
    select * from unnest(
        $4::text[], $5::bigint[], $6::timestamptz[], $7::text[], $8::text[], $9::text[], $10::text[],
        $11::bytea[], $12::bytea[], $13::bigint[]
    ) as given
), undone as (
    update {schema}.fact_transaction h set undone_by = given.undone_by
    from unnest($14::text[], $15::bigint[], $16::bigint[]) as given (tenant, tx, undone_by)
    where h.tenant = given.tenant and h.tx = given.tx
), given as (
    select * from unnest(
        $17::text[], $18::bigint[], $19::int[], $20::text[], $21::timestamptz[], $22::text[], $23::text[],
        $24::text[], $25::text[], $26::text[], $27::text[], $28::timestamptz[],
        $29::timestamptz[], $30::boolean[], $31::text[], $32::float8[], $33::text[], $34::text[],
        $35::text[], $36::text[], $37::text[], $38::bytea[], $39::text[]
    ) as given (
        tenant, tx, seq, id, recorded_at, op, branch, subject, predicate, slot, object, claimed_from,
        claimed_to, onset, ref, confidence, sources, session_id, actor, reason, replaces, text_digest, hidden
    )
), log as (
    insert into {schema}.assertion (
        tenant, tx, seq, id, recorded_at, op, branch, subject, predicate, slot, object, claimed_from,
        claimed_to, onset, ref, confidence, sources, session_id, actor, reason, replaces, text_digest, hidden
    )
    select
        tenant, tx, seq, id, recorded_at, op, branch, subject, predicate, slot, object::json, claimed_from,
        claimed_to, onset, ref, confidence, sources::text[], session_id, actor, reason, replaces,
        text_digest, hidden::bigint[]
    from given
), source as (
    insert into {schema}.assertion_source (tenant, episode_id, tx, seq)
    select distinct tenant, unnest(sources::text[]), tx, seq from given where sources <> '{}'
), hidden as (
    update {schema}.assertion a set hidden = a.hidden || changed.txs
    from (
        select tenant, id, array_agg(tx order by tx) as txs
        from unnest($40::text[], $41::text[], $42::bigint[]) as given (tenant, id, tx) group by tenant, id
    ) as changed
    where a.tenant = changed.tenant and a.id = changed.id
), closed as (
    update {schema}.fact f set
        tx_to = given.tx_to, superseded_at = given.superseded_at, superseded_by = given.superseded_by
    from unnest(
        $43::text[], $44::bigint[], $45::int[], $46::timestamptz[], $47::bigint[], $48::bigint[],
        $49::timestamptz[], $50::text[]
    ) as given (
        tenant, assertion_tx, assertion_seq, valid_from, tx_from, tx_to, superseded_at, superseded_by
    )
    where f.tenant = given.tenant and f.assertion_tx = given.assertion_tx
    and f.assertion_seq = given.assertion_seq and f.valid_from = given.valid_from
    and f.tx_from = given.tx_from
), opened as (
    insert into {schema}.fact (tenant, {fact})
    select * from unnest(
        $51::text[], $52::bigint[], $53::int[], $54::timestamptz[], $55::timestamptz[], $56::bigint[],
        $57::bigint[], $58::timestamptz[], $59::timestamptz[],
        $60::text[], $61::text[], $62::text[], $63::text[], $64::text[], $65::text[], $66::bytea[], $67::boolean[]
    ) as given
), text as (
    insert into {schema}.fact_text as t (tenant, digest, text, terms, embedding_state)
    select
        tenant, digest, text, terms::text[],
        case when embedding_state = 'ready' and not same then 'pending' else embedding_state end
    from unnest($68::text[], $69::bytea[], $70::text[], $71::text[], $72::text[])
        as given (tenant, digest, text, terms, embedding_state)
    cross join embedder
    on conflict (tenant, digest) do update set embedding_state = excluded.embedding_state
    where t.embedding_state <> 'ready' and excluded.embedding_state = 'ready'
    returning tenant, digest, embedding_state
), stray as (
    delete from {schema}.fact_vector v using text
    where v.tenant = text.tenant and v.digest = text.digest
    returning 1
)
insert into {schema}.fact_vector (tenant, digest, embedding)
select tenant, digest, embedding::{vector}.vector
from unnest($73::text[], $74::bytea[], $75::{given_vector}[]) as given (tenant, digest, embedding)
join text using (tenant, digest)
where embedding_state = 'ready' and (select count(*) from stray) >= 0

-- name: unmarked
-- Of these episodes, those that are not consolidated.
select e.id, e.seq
from {schema}.tenant t join {schema}.episode e using (tenant)
where tenant = $1 and e.id = any($2::text[]) and (
    e.seq > t.consolidated
    or exists (select from {schema}.passed_over p where p.tenant = $1 and p.seq = e.seq)
)

-- name: mark
-- The clock is held: nobody adds an episode meanwhile, or marks another one.
with late as (
    delete from {schema}.passed_over where tenant = $1 and seq = any($2::bigint[])
), passed_over as (
    insert into {schema}.passed_over (tenant, seq)
    select tenant, e.seq
    from {schema}.tenant t join {schema}.episode e using (tenant)
    where tenant = $1 and e.seq > t.consolidated and e.seq < (select max(seq) from unnest($2::bigint[]) as seq)
    and e.seq <> all($2::bigint[])
)
update {schema}.tenant set consolidated = greatest(consolidated, (select max(seq) from unnest($2::bigint[]) as seq))
where tenant = $1

-- name: pieces
-- Part of what follows: the pieces that pass, in the extent that the reader sees.
select f.*, p.starts, p.ends, {instant} as looked_at
from {source} f
{logged}
cross join lateral ({parts}) as p
where f.tenant = $1 and not f.void {filters}

-- name: found
-- Support is that of the instant that a fact is looked at: a row for each source of each supporter.
select t.tx as basis, found.*
from {schema}.tenant t
left join lateral (
    select
        {assertion}, f.starts as valid_from, f.ends as valid_to, f.tx_from, f.tx_to,
        f.recorded_at as opened_at, f.superseded_at, f.superseded_by, held.* {columns}
    from ({pieces}) as f
    join {schema}.assertion a on a.tenant = $1 and a.tx = f.assertion_tx and a.seq = f.assertion_seq
    cross join lateral (
        select
            count(*) filter (where coalesce(place, 1) = 1) as support, max(s.confidence) as best,
            array_agg(source order by s.tx, s.seq, place) filter (where source is not null) as all_sources
        from {schema}.assertion s
        left join lateral unnest(s.sources) with ordinality as u (source, place) on true
        where s.tenant = $1 and s.subject = f.subject and s.predicate = f.predicate
        and s.branch = f.branch and s.slot = f.slot and s.text_digest = a.text_digest
        and s.claimed_from <= f.looked_at and (s.claimed_to is null or f.looked_at < s.claimed_to)
        and {visible}
    ) as held
    {texts}
) as found on true
where t.tenant = $1
order by found.tx, found.seq, found.valid_from

-- name: count
select count(*)
from {schema}.tenant t
join {schema}.fact f on f.tenant = $1 and f.tx_to is null and f.branch = '' and not f.void
and f.valid_from <= greatest($2, t.at) and (f.valid_to is null or greatest($2, t.at) < f.valid_to)
where t.tenant = $1

-- name: slots
select t.tx as basis, t.at, {assertion}, {piece}
from {schema}.tenant t
left join (
    {schema}.assertion a
    left join {schema}.fact f on f.tenant = $1 and f.assertion_tx = a.tx and f.assertion_seq = a.seq
) on a.tenant = $1 and a.subject = $2 and a.predicate = $3 and a.branch = any($4::text[])
where t.tenant = $1
order by a.tx, a.seq, f.tx_from, f.valid_from

-- name: get
-- A slot comes once, whoever of it was asked for; `named` says who that was.
select t.tx as basis, t.at, a.id = any($2::text[]) as named, {assertion}, {piece}
from {schema}.tenant t
cross join (
    select distinct branch, subject, predicate, slot
    from {schema}.assertion where tenant = $1 and id = any($2::text[])
) as given
join {schema}.assertion a
    on a.tenant = $1 and a.subject = given.subject and a.predicate = given.predicate
    and a.branch = given.branch and a.slot = given.slot
left join {schema}.fact f on f.tenant = $1 and f.assertion_tx = a.tx and f.assertion_seq = a.seq
where t.tenant = $1
order by a.tx, a.seq, f.tx_from, f.valid_from

-- name: logged
-- Part of `pieces`: what is not current any more is found through the log.
join {schema}.assertion w on w.tenant = $1 and w.tx = f.assertion_tx and w.seq = f.assertion_seq

-- name: all
-- Part of `pieces`.
{schema}.fact

-- name: linked
-- Part of `pieces`: each end of a fact has an index.
(
    select * from {schema}.fact where tenant = $1 and subject = any({subjects}::text[]) and tx_to is null
    union all
    select * from {schema}.fact
    where tenant = $1 and object_digest = any({objects}::bytea[]) and subject <> all({subjects}::text[])
)

-- name: linked_then
-- Part of `pieces`: the same, where what is not current any more is found through the log.
(
    select f.* from {schema}.assertion a
    join {schema}.fact f on f.tenant = $1 and f.assertion_tx = a.tx and f.assertion_seq = a.seq
    where a.tenant = $1 and a.subject = any({subjects}::text[])
    union all
    select * from {schema}.fact
    where tenant = $1 and object_digest = any({objects}::bytea[]) and subject <> all({subjects}::text[])
)

-- name: whole
-- Part of `pieces`.
select f.valid_from as starts, f.valid_to as ends

-- name: overlaid
-- Part of `pieces`: what the session's pieces of the same slot leave of one of the main branch.
select lower(part) as starts, upper(part) as ends
from unnest(
    tstzmultirange(tstzrange(f.valid_from, f.valid_to)) - coalesce((
        select range_agg(tstzrange(o.valid_from, o.valid_to))
        from {schema}.fact o
        where f.branch = '' and o.tenant = $1 and o.subject = f.subject and o.predicate = f.predicate
        and o.slot = f.slot and o.branch = {branch} and {known}
    ), '{}')
) as part

-- name: visible
-- Part of `found`.
cardinality(s.hidden) % 2 = 0

-- name: visible_then
-- Part of `found`.
s.tx <= {known} and (select count(*) from unnest(s.hidden) as h (tx) where h.tx <= {known}) % 2 = 0

-- name: said
-- Part of `pieces`: the object itself.
exists (
    select from {schema}.assertion a
    where a.tenant = $1 and a.tx = f.assertion_tx and a.seq = f.assertion_seq {conditions}
)

-- name: texts
-- Part of `found`.
left join {schema}.fact_text x on x.tenant = $1 and x.digest = a.text_digest

-- name: vectors
-- Part of `found`.
left join {schema}.fact_vector v on v.tenant = $1 and v.digest = a.text_digest

-- name: cosine
-- Part of `found`. The query is read once, not once for each fact.
1 - (v.embedding operator({vector}.<=>) (select {query}::{given_vector}::{vector}.vector)) as cosine

-- name: changes
select t.tx as basis, a.*
from {schema}.tenant t
left join lateral (
    select {assertion} from {schema}.assertion a
    where a.tenant = $1 and (a.tx, a.seq) > ($2::bigint, $3::int) order by a.tx, a.seq limit $4
) as a on true
where t.tenant = $1
order by a.tx, a.seq

-- name: headers
select t.tx as basis,
    h.tx as of_tx, h.recorded_at as of_instant, h.name, h.session_id as of_session, h.actor as of_actor,
    h.reason as of_reason, h.undone_by, touched.*
from {schema}.tenant t
left join lateral (
    select * from {schema}.fact_transaction h
    where h.tenant = $1 and ($2::bigint is null or h.tx < $2) {of_session}
    order by h.tx desc limit $3
) as h on true
left join lateral (
    select true as opened, {assertion}, {piece}
    from {schema}.fact f
    join {schema}.assertion a on a.tenant = $1 and a.tx = f.assertion_tx and a.seq = f.assertion_seq
    where f.tenant = $1 and f.tx_from = h.tx
    union all
    select false, {assertion}, {piece}
    from {schema}.fact f
    join {schema}.assertion a on a.tenant = $1 and a.tx = f.assertion_tx and a.seq = f.assertion_seq
    where f.tenant = $1 and f.tx_to = h.tx
) as touched on true
where t.tenant = $1
order by h.tx desc, touched.tx, touched.seq, touched.valid_from

-- name: of_session
-- Part of `headers`.
and coalesce(h.session_id, '') = $4

-- name: known_at
-- Whatever comes will be later than the newest that there is.
select
    $2 <= t.at as stable,
    coalesce((
        select h.tx from {schema}.fact_transaction h
        where h.tenant = $1 and h.recorded_at <= $2 order by h.recorded_at desc limit 1
    ), 0) as tx
from {schema}.tenant t where t.tenant = $1

-- name: unembedded
select digest, text, terms, embedding_state
from {schema}.fact_text where tenant = $1 and embedding_state <> 'ready' order by digest limit $2

-- name: set_vectors
-- The row of a text is taken before its vector is written: of two processes one finds it ready.
-- What was left of an erasure goes first, as in `commit`.
with ready as (
    update {schema}.fact_text set embedding_state = 'ready'
    where tenant = $1 and digest = any($2::bytea[]) and embedding_state <> 'ready'
    and ($4::text is null or exists (
        select from {schema}.embedder where model = $4 and dimensions = $5::int
    ))
    returning digest
), stray as (
    delete from {schema}.fact_vector v using ready where v.tenant = $1 and v.digest = ready.digest
    returning 1
), embedded as (
    insert into {schema}.fact_vector (tenant, digest, embedding)
    select $1, digest, embedding::{vector}.vector
    from unnest($2::bytea[], $3::{given_vector}[]) as given (digest, embedding)
    join ready using (digest)
    where (select count(*) from stray) >= 0
)
select count(*) from ready

-- name: forget
-- What is in flight belongs to a generation that is over.
update {schema}.tenant set generation = generation + 1, secret = coalesce(secret, $2)
where tenant = $1 returning secret

-- name: bury
insert into {schema}.tombstone (tenant, digest) select $1, unnest($2::bytea[]) on conflict do nothing

-- name: touched
-- The whole logs of the slots in which an episode is a source, or where an assertion is.
select {assertion}
from (
    select o.branch, o.subject, o.predicate, o.slot
    from {schema}.assertion_source s
    join {schema}.assertion o on o.tenant = $1 and o.tx = s.tx and o.seq = s.seq
    where s.tenant = $1 and s.episode_id = any($2::text[])
    union
    select o.branch, o.subject, o.predicate, o.slot
    from {schema}.assertion o where o.tenant = $1 and o.id = any($3::text[])
) as given
join {schema}.assertion a
    on a.tenant = $1 and a.subject = given.subject and a.predicate = given.predicate
    and a.branch = given.branch and a.slot = given.slot
order by a.tx, a.seq

-- name: remove
-- What is gone, with all that leads to it.
with gone as (
    delete from {schema}.assertion where tenant = $1 and id = any($2::text[])
), replaced as (
    update {schema}.assertion set replaces = null
    where tenant = $1 and replaces = any($2::text[]) and id <> all($2::text[])
)
delete from {schema}.assertion_source s
using unnest($3::text[], $4::bigint[], $5::int[]) as given (episode_id, tx, seq)
where s.tenant = $1 and s.episode_id = given.episode_id and s.tx = given.tx and s.seq = given.seq

-- name: revise
update {schema}.assertion a set
    slot = given.slot, sources = given.sources::text[], replaces = given.replaces,
    hidden = given.hidden::bigint[]
from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[]) as given (id, slot, sources, replaces, hidden)
where a.tenant = $1 and a.id = given.id
and (a.slot, a.sources, a.replaces, a.hidden)
    is distinct from (given.slot, given.sources::text[], given.replaces, given.hidden::bigint[])

-- name: clear
delete from {schema}.fact f
using unnest($2::bigint[], $3::int[]) as given (tx, seq)
where f.tenant = $1 and f.assertion_tx = given.tx and f.assertion_seq = given.seq

-- name: open
insert into {schema}.fact (tenant, {fact})
select $1, given.* from unnest(
    $2::bigint[], $3::int[], $4::timestamptz[], $5::timestamptz[], $6::bigint[], $7::bigint[],
    $8::timestamptz[], $9::timestamptz[], $10::text[], $11::text[], $12::text[], $13::text[],
    $14::text[], $15::text[], $16::bytea[], $17::boolean[]
) as given

-- name: drop_texts
-- Those that no assertion has any more.
with unused as (
    select given.digest
    from unnest($2::text[], $3::text[], $4::bytea[]) as given (subject, predicate, digest)
    where not exists (
        select from {schema}.assertion a
        where a.tenant = $1 and a.subject = given.subject and a.predicate = given.predicate
        and a.text_digest = given.digest
    )
), text as (
    delete from {schema}.fact_text where tenant = $1 and digest in (select digest from unused)
)
select digest from unused

-- name: drop_vectors
-- Later than their texts, as in erasure.sql.
delete from {schema}.fact_vector where tenant = $1 and digest = any($2::bytea[])

-- name: empty_headers
-- Of transactions of which nothing is left: what tells of it. Whoever undid others was never there.
with emptied as (
    select h.tx from {schema}.fact_transaction h
    where h.tenant = $1 and h.tx = any($2::bigint[])
    and not exists (select from {schema}.assertion a where a.tenant = $1 and a.tx = h.tx)
)
update {schema}.fact_transaction h set
    session_id = case when is_empty then null else session_id end,
    actor = case when is_empty then null else actor end,
    reason = case when is_empty then null else reason end,
    digest = case when is_empty then '' else digest end,
    undone_by = case when undone_by in (select tx from emptied) then null else undone_by end
from (
    select tx as of_tx, tx in (select tx from emptied) as is_empty from {schema}.fact_transaction
    where tenant = $1 and (tx in (select tx from emptied) or undone_by in (select tx from emptied))
) as touched
where h.tenant = $1 and h.tx = of_tx

-- name: everything
-- For `verify`: what has no counterpart on the other side is there as well.
select
    {assertion}, a.hidden, {piece}, f.assertion_tx, f.object_digest,
    f.branch = a.branch and f.subject = a.subject and f.predicate = a.predicate and f.slot = a.slot
        and f.void = (a.op = 'void') and f.session_id is not distinct from a.session_id as agrees,
    array[f.branch, f.subject, f.predicate, f.slot] as piece_place
from (select * from {schema}.assertion where tenant = $1) as a
full join (select * from {schema}.fact where tenant = $1) as f
    on f.assertion_tx = a.tx and f.assertion_seq = a.seq
order by a.tx, a.seq, f.tx_from, f.valid_from
