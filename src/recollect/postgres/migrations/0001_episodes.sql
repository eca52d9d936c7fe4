-- Tenants, and their episodes. Text that is compared is compared byte for byte ("C"), in process as here.

-- One row a tenant: its clock, and the lock that every write takes first.
create table {schema}.tenant (
    tenant text collate "C" primary key,
    namespace text collate "C" not null,
    user_id text collate "C",                -- null: the anonymous tenant
    tx bigint not null check (tx >= 0),
    at timestamptz not null,
    generation bigint not null default 0
) with (fillfactor = 50);                    -- room for the clock to advance without touching an index

-- Not unique: the key implies that already, and of two first writes of a tenant at once one would fail on it.
create index tenant_user on {schema}.tenant (namespace, (coalesce(user_id, '')));

create table {schema}.episode (
    tenant text collate "C" not null,
    seq bigint not null,
    id text collate "C" not null,
    digest bytea not null,
    session_id text collate "C",
    agent_id text collate "C",
    input text not null,
    output text not null,
    occurred_at timestamptz not null,
    recorded_at timestamptz not null,
    metadata json not null,                  -- json, not jsonb: it comes back as it was given
    transcript json,
    embedding_state text not null check (embedding_state in ('ready', 'pending', 'none')),
    terms bytea not null,                    -- 8 bytes a term, see terms.py
    primary key (tenant, seq),
    unique (tenant, id)
);

create index episode_session on {schema}.episode (tenant, session_id, seq) where session_id is not null;

-- Apart from the episodes, so that words can be read without vectors and vectors without text.
create table {schema}.episode_vector (
    tenant text collate "C" not null,
    seq bigint not null,
    chunk integer not null,
    embedding {vector}.vector not null,
    primary key (tenant, seq, chunk)
);

-- The model that made the vectors: at most one row.
create table {schema}.embedder (
    only_row boolean primary key default true check (only_row),
    model text not null,
    dimensions integer not null
);
