-- The only statements beside those of directory.sql that look across tenants.

-- name: version
select string_to_array(extversion, '.')::int[] >= '{0,8}' from pg_extension where extname = 'vector'

-- name: embedder
select dimensions from {schema}.embedder

-- name: sizes
select tenant, count(*) as vectors from {schema}.episode_vector group by tenant having count(*) > $1

-- name: ours
-- Any table of the schema: of vectors in partitions, each has its own.
select c.relname as name, i.indisvalid as valid
from pg_index i
join pg_class c on c.oid = i.indexrelid
join pg_namespace n on n.oid = c.relnamespace
where n.nspname = $1 and starts_with(c.relname, $2)

-- name: take_turn
-- Nobody may wait for it in a statement: whoever builds would wait for that statement to end.
select pg_try_advisory_xact_lock(hashtextextended('recollect.index.' || $1, 0))

-- name: is_building
-- What a process began that is gone by now; it would build on.
select exists (
    select from pg_stat_progress_create_index p
    join pg_class c on c.oid = p.relid
    join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = $1 and p.datname = current_database()
)

-- name: table
-- The table or partition that has the vectors of a tenant.
select n.nspname as schema, c.relname as name
from {schema}.episode_vector v
join pg_class c on c.oid = v.tableoid
join pg_namespace n on n.oid = c.relnamespace
where v.tenant = $1 limit 1

-- name: build
-- Vectors of other dimensions stay out, so that they can be stored whatever indexes an embedder has left.
create index concurrently if not exists {index} on {table}
using hnsw ((embedding::{indexed}) {vector}.{kind}_cosine_ops)
where tenant = {tenant} and {vector}.vector_dims(embedding) = {dimensions}

-- name: take_no_samples
-- The planner would keep vectors, where they would outlive an erasure.
alter index {schema}.{index} alter column 1 set statistics 0

-- name: drop
drop index concurrently if exists {schema}.{index}
