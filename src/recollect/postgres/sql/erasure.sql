-- The clock row of the tenant is taken before any of these, by `clock` of facts.sql.
-- {passes} is a condition on episodes e: of session $2, with an id of $3, recorded before $4, null for any.
-- Vectors are written without the clock, together with the row of what they belong to. Whoever erases waits
-- for that row, and only a statement that begins later sees the vector: so vectors go by one of their own.

-- name: generation
select generation from {schema}.tenant where tenant = $1

-- name: forget_everything
-- Of ids and keys their hashes stay, as `recollect._tombstones` has them.
with of_tenant as (
    update {schema}.tenant set generation = generation + 1, secret = coalesce(secret, $2)
    where tenant = $1 returning generation, secret
), episodes as (
    delete from {schema}.episode where tenant = $1 returning id
), headers as (
    delete from {schema}.fact_transaction where tenant = $1 returning key_hash
), said as (
    delete from {schema}.assertion where tenant = $1 returning 1
), sources as (
    delete from {schema}.assertion_source where tenant = $1
), pieces as (
    delete from {schema}.fact where tenant = $1
), texts as (
    delete from {schema}.fact_text where tenant = $1
), buried as (
    insert into {schema}.tombstone (tenant, digest)
    select $1, sha256(secret || content)
    from of_tenant cross join (
        select 'episode'::bytea || convert_to(id, 'UTF8') as content from episodes
        union all
        select 'key'::bytea || key_hash from headers
    ) as gone
    on conflict do nothing
)
select
    (select count(*) from episodes) as episodes, (select count(*) from said) as facts,
    (select generation from of_tenant) as generation

-- name: drop_all_vectors
with facts as (
    delete from {schema}.fact_vector where tenant = $1
)
delete from {schema}.episode_vector where tenant = $1

-- name: forget
-- What is in flight belongs to a generation that is over.
update {schema}.tenant set generation = generation + 1, secret = coalesce(secret, $2)
where tenant = $1 returning generation, secret

-- name: sources
-- Of the episodes that pass, those that facts come from.
select distinct s.episode_id
from {schema}.assertion_source s
join {schema}.episode e on e.tenant = $1 and e.id = s.episode_id
where s.tenant = $1 and {passes}

-- name: drop_episodes
with gone as (
    delete from {schema}.episode e where e.tenant = $1 and {passes} returning id, seq
), buried as (
    insert into {schema}.tombstone (tenant, digest)
    select $1, sha256($5::bytea || 'episode'::bytea || convert_to(id, 'UTF8')) from gone
    on conflict do nothing
)
select seq from gone

-- name: drop_vectors
delete from {schema}.episode_vector where tenant = $1 and seq = any($2::bigint[])

-- name: named
-- The transactions of assertions that are named.
select {assertion}
from (select distinct tx from {schema}.assertion where tenant = $1 and id = any($2::text[])) as named
join {schema}.assertion a on a.tenant = $1 and a.tx = named.tx
order by a.tx, a.seq

-- name: said
-- The transactions of a session, or before an instant.
select {assertion}
from {schema}.fact_transaction h
join {schema}.assertion a on a.tenant = $1 and a.tx = h.tx
where h.tenant = $1 and ($2::text is null or coalesce(h.session_id, '') = $2)
and ($3::timestamptz is null or h.recorded_at < $3)
order by a.tx, a.seq

-- name: identified
select {assertion} from {schema}.assertion a where a.tenant = $1 and a.id = any($2::text[])

-- name: left_of_everything
select
    (select count(*) from {schema}.episode where tenant = $1)
    + (select count(*) from {schema}.episode_vector where tenant = $1)
    + (select count(*) from {schema}.fact_transaction where tenant = $1)
    + (select count(*) from {schema}.assertion where tenant = $1)
    + (select count(*) from {schema}.assertion_source where tenant = $1)
    + (select count(*) from {schema}.fact where tenant = $1)
    + (select count(*) from {schema}.fact_text where tenant = $1)
    + (select count(*) from {schema}.fact_vector where tenant = $1)

-- name: left_of_episodes
-- What passes, and what belongs to episodes that are not there.
select
    (select count(*) from {schema}.episode e where e.tenant = $1 and {passes})
    + (
        select count(*) from {schema}.episode_vector v where v.tenant = $1
        and not exists (select from {schema}.episode e where e.tenant = $1 and e.seq = v.seq)
    ) + (
        select count(*) from {schema}.assertion_source s where s.tenant = $1
        and not exists (select from {schema}.episode e where e.tenant = $1 and e.id = s.episode_id)
    )

-- name: left_of_facts
-- What belongs to facts that are not there.
select count(*) from {schema}.fact_vector v where v.tenant = $1
and not exists (select from {schema}.fact_text t where t.tenant = $1 and t.digest = v.digest)
