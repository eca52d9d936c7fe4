-- name: append
-- Everything of a batch in one statement, hence in one transaction and one round trip. It takes the
-- clock rows first, in sorted order, and reads no episode: an id that is taken is left out of the result.
-- The numbers of a tenant's episodes count back from its clock: `back` is 0 for the newest.
-- JSON goes over as text: a codec of the caller's pool would encode it again.
-- Vectors of an embedder that was replaced meanwhile stay out; $23 is null if none was adopted.
-- What was erased stays out. The tombstones that are seen are those of before the clock was taken: where
-- something was erased while this waited for the clock, nothing is stored, and it has to be sent again.
with seen as (
    {seen}
), embedder as (
    select $23::text is null or exists (
        select from {schema}.embedder where model = $23 and dimensions = $24::int
    ) as same
), clock as (
    insert into {schema}.tenant as t (tenant, namespace, user_id, tx, at)
    select tenant, namespace, user_id, episodes, coalesce($5, clock_timestamp())
    from unnest($1::text[], $2::text[], $3::text[], $4::int[]) as given (tenant, namespace, user_id, episodes)
    order by tenant collate "C"
    on conflict (tenant) do update set
        tx = t.tx + excluded.tx,
        at = greatest(coalesce($5, clock_timestamp()), t.at + excluded.tx * interval '1 microsecond')
    returning tenant, tx, at, generation, secret
), refused as (
    select given.tenant, given.id, clock.generation <> coalesce(seen.generation, 0) as late
    from clock
    left join seen using (tenant)
    join unnest($6::text[], $8::text[]) as given (tenant, id) using (tenant)
    where clock.generation <> coalesce(seen.generation, 0) or clock.secret is not null and exists (
        select from {schema}.tombstone t where t.tenant = given.tenant
        and t.digest = sha256(clock.secret || 'episode'::bytea || convert_to(given.id, 'UTF8'))
        offset 0
    )
), stored as (
    insert into {schema}.episode (
        tenant, seq, id, digest, session_id, agent_id, input, output, occurred_at, recorded_at,
        metadata, transcript, embedding_state, terms
    )
    select
        tenant, clock.tx - back, id, digest, session_id, agent_id, input, output, occurred_at,
        clock.at - back * interval '1 microsecond', metadata::json, transcript::json,
        case when embedding_state = 'ready' and not same then 'pending' else embedding_state end, terms
    from unnest(
        $6::text[], $7::int[], $8::text[], $9::bytea[], $10::text[], $11::text[], $12::text[], $13::text[],
        $14::timestamptz[], $15::text[], $16::text[], $17::text[], $18::bytea[]
    ) as given (
        tenant, back, id, digest, session_id, agent_id, input, output, occurred_at, metadata, transcript,
        embedding_state, terms
    )
    join clock using (tenant)
    cross join embedder
    where (tenant, id) not in (select tenant, id from refused)
    on conflict (tenant, id) do nothing
    returning tenant, id, seq, recorded_at, embedding_state
), embedded as (
    insert into {schema}.episode_vector (tenant, seq, chunk, embedding)
    select tenant, seq, chunk, embedding::{vector}.vector
    from unnest($19::text[], $20::text[], $21::int[], $22::{given_vector}[]) as given (tenant, id, chunk, embedding)
    join stored using (tenant, id)
    where embedding_state = 'ready'
)
select tenant, id, seq, recorded_at, embedding_state, null::boolean as late from stored
union all
select tenant, id, null, null, null, late from refused

-- name: seen
-- Part of `append`.
select tenant, generation from {schema}.tenant where tenant = any($1::text[])

-- name: seen_apart
-- Part of `append` where tables are cut: tenant by tenant, each in its own partition. Where they are not,
-- this would only make the server plan the statement again each time.
select given.tenant, of_tenant.generation
from unnest($1::text[]) as given (tenant)
cross join lateral (
    select generation from {schema}.tenant where tenant = given.tenant offset 0
) as of_tenant

-- name: named
select tenant, digest, {episode}
from unnest($1::text[], $2::text[]) as wanted (of_tenant, with_id)
cross join lateral (
    select * from {schema}.episode where tenant = of_tenant and id = with_id offset 0
) as episode

-- name: get
select {episode} from {schema}.episode where tenant = $1 and id = $2

-- name: basis
select tx from {schema}.tenant where tenant = $1

-- name: page
select {episode} from {schema}.episode where tenant = $1 and seq > $2 {filters} order by seq limit $3

-- name: newest
select {episode} from {schema}.episode where tenant = $1 {filters} order by seq desc limit $2

-- name: by_seq
select {episode} from {schema}.episode where tenant = $1 and seq = any($2::bigint[])

-- name: around
-- A look in either direction for each hit, along the session's index.
select hit.seq as hit, e.*
from unnest($2::bigint[], $3::text[]) as hit (seq, session_id)
cross join lateral (
    (
        select {episode} from {schema}.episode
        where tenant = $1 and session_id = hit.session_id and seq < hit.seq order by seq desc limit $4
    ) union all (
        select {episode} from {schema}.episode
        where tenant = $1 and session_id = hit.session_id and seq > hit.seq order by seq limit $4
    )
) as e
order by hit.seq, e.seq

-- name: sessions
select
    session_id, count(*) as episode_count, min(seq) as first_seq, max(seq) as last_seq,
    min(occurred_at) as first_at, max(occurred_at) as last_at
from {schema}.episode
where tenant = $1 and session_id is not null
group by session_id
having min(seq) > $2
order by min(seq)
limit $3

-- name: recent_sessions
-- From one session to the next along their index, with a look at the end of each: for each session two
-- steps, however many episodes it has. Only of those that are wanted, the episodes are read.
with recursive session as (
    (
        select session_id from {schema}.episode
        where tenant = $1 and session_id is not null order by session_id limit 1
    ) union all
    select (
        select following.session_id from {schema}.episode following
        where tenant = $1 and following.session_id > session.session_id order by following.session_id limit 1
    ) from session where session.session_id is not null
), recent as (
    select session.session_id, newest.seq from session
    cross join lateral (
        select seq from {schema}.episode e
        where tenant = $1 and e.session_id = session.session_id order by seq desc limit 1
    ) as newest
    order by newest.seq desc limit $2
)
select recent.session_id, whole.* from recent
cross join lateral (
    select
        count(*) as episode_count, min(seq) as first_seq, max(seq) as last_seq,
        min(occurred_at) as first_at, max(occurred_at) as last_at
    from {schema}.episode e where tenant = $1 and e.session_id = recent.session_id
) as whole
order by recent.seq desc

-- name: count
select count(*) from {schema}.episode where tenant = $1

-- name: words
-- The tenant's columns as packed bytes: one row to decode instead of one for each episode.
select
    string_agg(int8send(seq), '') as seqs,
    string_agg(int8send(session), '') as sessions,
    string_agg(float8send(occurred), '') as occurred,
    string_agg(int4send(octet_length(terms) / 8), '') as lengths,
    string_agg(terms, '') as terms,
    string_agg(passes, '') as passes
from (
    select
        seq, terms, date_part('epoch', occurred_at) as occurred,
        coalesce(hashtextextended(session_id, 0), 0) as session,
        case when true {filters} then '\x01'::bytea else '\x00'::bytea end as passes
    from {schema}.episode where tenant = $1 order by seq
) as ordered

-- name: meanings
-- Exact: every vector of the tenant is compared. The query is read once, not once for each of them.
-- If there is an index of this name, it only says so, and reads none.
with index as materialized (
    select exists (select from pg_index where indexrelid = to_regclass($3::text) and indisvalid) as there
)
select
    (select there from index) as indexed,
    string_agg(int8send(seq), '') as seqs,
    string_agg(float8send(1 - (embedding operator({vector}.<=>) (select $2::{given_vector}::{vector}.vector))), '') as cosines
from {schema}.episode_vector where tenant = $1 and not (select there from index)

-- name: nearest
-- By the index of the tenant, whose name is spelled out so that the planner knows it. Only the index gives rows
-- in this order without a sort, and there sorts are turned off. It may give too few; the next one is exact.
select seq from {schema}.episode_vector
where tenant = {tenant} and {vector}.vector_dims(embedding) = {dimensions} {passing}
order by embedding::{indexed} operator({vector}.<=>) $1::{given_vector}::{vector}.vector::{indexed} limit $2

-- name: compared
-- Like `meanings`, of some episodes.
select
    string_agg(int8send(seq), '') as seqs,
    string_agg(float8send(1 - (embedding operator({vector}.<=>) (select $2::{given_vector}::{vector}.vector))), '') as cosines
from {schema}.episode_vector where tenant = $1 and seq = any($3::bigint[])

-- name: unembedded
select {episode} from {schema}.episode
where tenant = $1 and seq > $2 and embedding_state <> 'ready' order by seq limit $3

-- name: unconsolidated
(
    select {episode} from {schema}.passed_over join {schema}.episode using (tenant, seq)
    where tenant = $1 and seq > $2 order by seq limit $3
) union all (
    select {episode} from {schema}.episode
    where tenant = $1 and seq > greatest($2, (select consolidated from {schema}.tenant where tenant = $1))
    order by seq limit $3
)
order by seq limit $3

-- name: count_unconsolidated
select (
    select count(*) from {schema}.passed_over where tenant = $1
) + (
    select count(*) from {schema}.episode
    where tenant = $1 and seq > (select consolidated from {schema}.tenant where tenant = $1)
)

-- name: set_vectors
-- The row of an episode is taken before its vectors are written: of two processes one finds it ready.
-- What was left of an erasure goes first, as in `commit` of facts.sql.
with ready as (
    update {schema}.episode e set embedding_state = 'ready'
    where tenant = $1 and id = any($2::text[]) and embedding_state <> 'ready'
    and ($5::text is null or exists (
        select from {schema}.embedder where model = $5 and dimensions = $6::int
    ))
    returning seq, id
), stray as (
    delete from {schema}.episode_vector v using ready where v.tenant = $1 and v.seq = ready.seq
    returning 1
), embedded as (
    insert into {schema}.episode_vector (tenant, seq, chunk, embedding)
    select $1, seq, chunk, embedding::{vector}.vector
    from unnest($2::text[], $3::int[], $4::{given_vector}[]) as given (id, chunk, embedding)
    join ready using (id)
    where (select count(*) from stray) >= 0
)
select count(*) from ready
