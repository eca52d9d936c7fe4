-- name: survey
select
    t.tx, case when t.tx > 0 then t.at end as at, t.generation, t.consolidated,
    (select count(*) from {schema}.episode where tenant = $1) as episodes,
    (select count(*) from {schema}.fact_transaction where tenant = $1) as transactions,
    (select count(*) from {schema}.assertion where tenant = $1) as assertions,
    array(select seq from {schema}.passed_over where tenant = $1) as passed_over,
    t.secret, array(select digest from {schema}.tombstone where tenant = $1 order by digest) as tombstones
from {schema}.tenant t where tenant = $1

-- name: rules
select name, cardinality, key, immutable
from (select distinct predicate from {schema}.assertion where tenant = $1) as used
join {schema}.predicate on name = predicate

-- name: episodes
-- Up to $4 of them, and up to $5 bytes of text; `offered` is how many there were without the latter.
select
    digest, {episode}, offered,
    case when $6 then (
        select array_agg({vector}.vector_send(embedding) order by chunk)
        from {schema}.episode_vector v where v.tenant = $1 and v.seq = sized.seq
    ) end as vectors
from (
    select *, count(*) over () as offered, sum(size) over (order by seq) - size as before
    from (
        select
            *, octet_length(input) + octet_length(output) + octet_length(metadata::text)
            + coalesce(octet_length(transcript::text), 0) as size
        from {schema}.episode where tenant = $1 and seq > $2 and seq <= $3 order by seq limit $4
    ) as page
) as sized
where before < $5 order by seq

-- name: headers
-- As they were after $3: what was rolled back later is not yet.
select
    tx, recorded_at, name, session_id, actor, reason, key_hash, digest,
    case when undone_by <= $3 then undone_by end as undone_by
from {schema}.fact_transaction where tenant = $1 and tx > $2 and tx <= $3 order by tx limit $4

-- name: assertions
-- Beyond ($2, $3), and otherwise like `episodes`.
select
    {assertion}, offered, x.embedding_state,
    case when $7 then (
        select {vector}.vector_send(embedding)
        from {schema}.fact_vector v where v.tenant = $1 and v.digest = a.text_digest
    ) end as vector
from (
    select
        *, count(*) over () as offered,
        sum(coalesce(octet_length(object::text), 0)) over (order by tx, seq)
        - coalesce(octet_length(object::text), 0) as before
    from (
        select * from {schema}.assertion
        where tenant = $1 and (tx, seq) > ($2, $3) and tx <= $4 order by tx, seq limit $5
    ) as page
) as a
left join {schema}.fact_text x on x.tenant = $1 and x.digest = a.text_digest
where before < $6 order by a.tx, a.seq

-- name: holds
select exists (select from {schema}.episode where tenant = $1)
    or exists (select from {schema}.fact_transaction where tenant = $1)
    or exists (select from {schema}.assertion where tenant = $1)

-- name: drop_vectors
-- Of a tenant that holds nothing: what is there was left by an erasure.
with facts as (
    delete from {schema}.fact_vector where tenant = $1
)
delete from {schema}.episode_vector where tenant = $1

-- name: recorded
select name, cardinality, key, immutable from {schema}.predicate where name = any($1::text[])

-- name: buried
-- Of these hashes, those that are of what was forgotten.
select digest from {schema}.tombstone where tenant = $1 and digest = any($2::bytea[])

-- name: load_episodes
-- Vectors of an embedder that was replaced meanwhile stay out; $18 is null if none was adopted.
with embedder as (
    select $18::text is null or exists (
        select from {schema}.embedder where model = $18 and dimensions = $19::int
    ) as same
), stored as (
    insert into {schema}.episode (
        tenant, seq, id, digest, session_id, agent_id, input, output, occurred_at, recorded_at,
        metadata, transcript, embedding_state, terms
    )
    select
        $1, seq, id, digest, session_id, agent_id, input, output, occurred_at, recorded_at, metadata::json,
        transcript::json, case when embedding_state = 'ready' and not same then 'pending' else embedding_state end,
        terms
    from unnest(
        $2::bigint[], $3::text[], $4::bytea[], $5::text[], $6::text[], $7::text[], $8::text[],
        $9::timestamptz[], $10::timestamptz[], $11::text[], $12::text[], $13::text[], $14::bytea[]
    ) as given (
        seq, id, digest, session_id, agent_id, input, output, occurred_at, recorded_at, metadata, transcript,
        embedding_state, terms
    )
    cross join embedder
    returning seq, embedding_state
)
insert into {schema}.episode_vector (tenant, seq, chunk, embedding)
select $1, seq, chunk, embedding::{vector}.vector
from unnest($15::bigint[], $16::int[], $17::{given_vector}[]) as given (seq, chunk, embedding)
join stored using (seq)
where embedding_state = 'ready'

-- name: load_headers
insert into {schema}.fact_transaction (
    tenant, tx, recorded_at, name, session_id, actor, reason, key_hash, digest, undone_by
)
select $1, given.* from unnest(
    $2::bigint[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bytea[], $9::bytea[],
    $10::bigint[]
) as given

-- name: load_assertions
with given as (
    select * from unnest(
        $2::bigint[], $3::int[], $4::text[], $5::timestamptz[], $6::text[], $7::text[], $8::text[], $9::text[],
        $10::text[], $11::text[], $12::timestamptz[], $13::timestamptz[], $14::boolean[], $15::text[],
        $16::float8[], $17::text[], $18::text[], $19::text[], $20::text[], $21::text[], $22::bytea[], $23::text[]
    ) as given (
        tx, seq, id, recorded_at, op, branch, subject, predicate, slot, object, claimed_from, claimed_to,
        onset, ref, confidence, sources, session_id, actor, reason, replaces, text_digest, hidden
    )
), log as (
    insert into {schema}.assertion (
        tenant, tx, seq, id, recorded_at, op, branch, subject, predicate, slot, object, claimed_from,
        claimed_to, onset, ref, confidence, sources, session_id, actor, reason, replaces, text_digest, hidden
    )
    select
        $1, tx, seq, id, recorded_at, op, branch, subject, predicate, slot, object::json, claimed_from,
        claimed_to, onset, ref, confidence, sources::text[], session_id, actor, reason, replaces,
        text_digest, hidden::bigint[]
    from given
)
insert into {schema}.assertion_source (tenant, episode_id, tx, seq)
select distinct $1, unnest(sources::text[]), tx, seq from given

-- name: load_texts
-- Like `load_episodes`.
with embedder as (
    select $8::text is null or exists (
        select from {schema}.embedder where model = $8 and dimensions = $9::int
    ) as same
), text as (
    insert into {schema}.fact_text as t (tenant, digest, text, terms, embedding_state)
    select
        $1, digest, text, terms::text[],
        case when embedding_state = 'ready' and not same then 'pending' else embedding_state end
    from unnest($2::bytea[], $3::text[], $4::text[], $5::text[]) as given (digest, text, terms, embedding_state)
    cross join embedder
    on conflict (tenant, digest) do nothing
    returning digest, embedding_state
)
insert into {schema}.fact_vector (tenant, digest, embedding)
select $1, digest, embedding::{vector}.vector
from unnest($6::bytea[], $7::{given_vector}[]) as given (digest, embedding)
join text using (digest)
where embedding_state = 'ready'

-- name: subjects
select distinct subject, predicate from {schema}.assertion
where tenant = $1 and (subject, predicate) > ($2, $3) order by subject, predicate limit $4

-- name: log
select {assertion} from unnest($2::text[], $3::text[]) as given (subject, predicate)
join {schema}.assertion a
    on a.tenant = $1 and a.subject = given.subject and a.predicate = given.predicate
order by a.tx, a.seq

-- name: set_clock
-- Of a tenant that nobody ever wrote for, the clock starts where that of the other was.
with buried as (
    insert into {schema}.tombstone (tenant, digest) select $1, unnest($6::bytea[]) on conflict do nothing
), passed_over as (
    insert into {schema}.passed_over (tenant, seq) select $1, unnest($7::bigint[])
)
update {schema}.tenant set
    tx = greatest(tx, $2),
    at = case when tx = 0 then coalesce($3, at) else greatest(at, $3) end,
    consolidated = $4,
    secret = coalesce(secret, $5)
where tenant = $1
