-- Vectors of what is not there. Erasures of earlier versions left one where it arrived while they waited for
-- the row that it came with.
-- A vector and the state "ready" of what it belongs to are stored together: a statement that sees the vector
-- without that sees one that is left. So nothing has to be locked, and what was stored again since is safe.

-- name: look_episode_vectors
-- The last of up to $4 vectors beyond ($2, $3), and those among them that belong to nothing.
with looked as (
    select seq, chunk from {schema}.episode_vector
    where tenant = $1 and (seq, chunk) > ($2::bigint, $3::int) order by seq, chunk limit $4
), stray as (
    select seq, chunk from looked
    where not exists (
        select from {schema}.episode e where e.tenant = $1 and e.seq = looked.seq
        and e.embedding_state = 'ready'
    )
)
select
    seq, chunk, array(select seq from stray order by seq, chunk), array(select chunk from stray order by seq, chunk)
from looked order by seq desc, chunk desc limit 1

-- name: drop_episode_vectors
with gone as (
    delete from {schema}.episode_vector v
    using unnest($2::bigint[], $3::int[]) as given (seq, chunk)
    where v.tenant = $1 and v.seq = given.seq and v.chunk = given.chunk
    and not exists (
        select from {schema}.episode e where e.tenant = $1 and e.seq = v.seq
        and e.embedding_state = 'ready'
    )
    returning 1
)
select count(*) from gone

-- name: look_fact_vectors
with looked as (
    select digest from {schema}.fact_vector
    where tenant = $1 and digest > $2 order by digest limit $3
), stray as (
    select digest from looked
    where not exists (
        select from {schema}.fact_text t where t.tenant = $1 and t.digest = looked.digest
        and t.embedding_state = 'ready'
    )
)
select digest, array(select digest from stray) from looked order by digest desc limit 1

-- name: drop_fact_vectors
with gone as (
    delete from {schema}.fact_vector v
    using unnest($2::bytea[]) as given (digest)
    where v.tenant = $1 and v.digest = given.digest
    and not exists (
        select from {schema}.fact_text t where t.tenant = $1 and t.digest = v.digest
        and t.embedding_state = 'ready'
    )
    returning 1
)
select count(*) from gone
