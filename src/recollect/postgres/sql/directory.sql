-- name: tenants
select namespace, user_id from {schema}.tenant where tenant > $1 order by tenant limit $2

-- name: users
-- "" stands for the anonymous tenant and sorts first. Of who was forgotten the row stays, and nothing else.
-- "offset 0", here and below: looked up tenant by tenant, never by reading all episodes at once.
select user_id from {schema}.tenant t
where namespace = $1 and ($2::text is null or coalesce(user_id, '') > $2 collate "C") and (
    exists (select from {schema}.episode e where e.tenant = t.tenant offset 0)
    or exists (select from {schema}.fact_transaction h where h.tenant = t.tenant offset 0)
)
order by coalesce(user_id, '') limit $3

-- name: unconsolidated
select user_id from {schema}.tenant t
where namespace = $1 and ($2::text is null or coalesce(user_id, '') > $2 collate "C")
and (
    exists (select from {schema}.passed_over p where p.tenant = t.tenant offset 0)
    or tx > consolidated
    and exists (select from {schema}.episode e where e.tenant = t.tenant and e.seq > t.consolidated offset 0)
)
order by coalesce(user_id, '') limit $3

-- name: has_named_users
select exists (
    select from {schema}.tenant t where namespace = $1 and coalesce(user_id, '') > '' and (
        exists (select from {schema}.episode e where e.tenant = t.tenant offset 0)
        or exists (select from {schema}.fact_transaction h where h.tenant = t.tenant offset 0)
    )
)

-- name: embedder
select model, dimensions from {schema}.embedder

-- name: record_embedder
insert into {schema}.embedder (model, dimensions) values ($1, $2) on conflict (only_row) do nothing

-- name: stop_writes
lock table {schema}.episode, {schema}.fact_text in share row exclusive mode

-- name: replace_embedder
update {schema}.embedder set model = $1, dimensions = $2

-- name: drop_vectors
with facts as (delete from {schema}.fact_vector)
delete from {schema}.episode_vector

-- name: make_pending
with facts as (update {schema}.fact_text set embedding_state = 'pending' where embedding_state <> 'pending')
update {schema}.episode set embedding_state = 'pending' where embedding_state <> 'pending'
