-- name: rules
select name, cardinality, key, immutable from {schema}.predicate

-- name: stop_writes
-- Every write takes its tenant's row first.
lock table {schema}.tenant in share row exclusive mode

-- name: record
insert into {schema}.predicate (name, cardinality, key, immutable)
select * from unnest($1::text[], $2::text[], $3::text[], $4::boolean[])
on conflict (name) do update set
    cardinality = excluded.cardinality, key = excluded.key, immutable = excluded.immutable

-- name: using
select distinct tenant from {schema}.assertion where predicate = any($1::text[]) order by tenant

-- name: log
select {assertion} from {schema}.assertion a
where a.tenant = $1 and a.predicate = any($2::text[]) order by a.tx, a.seq
