-- Facts: a log of assertions, and its projection. Text that is compared is compared byte for byte ("C").

-- The key of a tenant's tombstones; made when the first of them is.
alter table {schema}.tenant add column secret bytea;

-- What holds of a predicate, for all tenants.
create table {schema}.predicate (
    name text collate "C" primary key,
    cardinality text not null check (cardinality in ('one', 'many')),
    key text,
    immutable boolean not null
);

-- The header of each transaction. Erasure leaves it, without what was written in it.
create table {schema}.fact_transaction (
    tenant text collate "C" not null,
    tx bigint not null check (tx > 0),
    recorded_at timestamptz not null,
    name text not null,
    session_id text collate "C",
    actor text,
    reason text,
    key_hash bytea not null,                 -- of the idempotency key
    digest bytea not null,                   -- of what the caller passed
    undone_by bigint check (undone_by > tx),
    primary key (tenant, tx),
    unique (tenant, key_hash)
);

create index fact_transaction_instant on {schema}.fact_transaction (tenant, recorded_at, tx);
create index fact_transaction_session on {schema}.fact_transaction (tenant, (coalesce(session_id, '')), tx);

-- The log. Nothing of it changes but `hidden`, which is derived from it: the transactions that hid the
-- assertion, showed it again, and so on; after transaction k it is hidden if an odd number of them is <= k.
create table {schema}.assertion (
    tenant text collate "C" not null,
    tx bigint not null check (tx > 0),
    seq integer not null check (seq >= 0),
    id text collate "C" not null,
    recorded_at timestamptz not null,
    op text not null check (op in ('assert', 'void', 'retract')),
    branch text collate "C" not null,        -- empty: the main one; else the session that staged it
    subject text collate "C" not null,
    predicate text collate "C" not null,
    slot text collate "C" not null,          -- empty: one value at a time; else a digest of the object
    object json,                             -- json, not jsonb: it comes back as it was given
    claimed_from timestamptz not null,
    claimed_to timestamptz,
    onset boolean not null,
    ref text collate "C",
    confidence double precision not null check (confidence between 0 and 1),
    sources text[] collate "C" not null,
    session_id text collate "C",
    actor text,
    reason text,
    replaces text collate "C",
    text_digest bytea,                       -- of subject, predicate and object, where it asserts them
    hidden bigint[] not null default '{}',
    primary key (tenant, tx, seq),
    unique (tenant, id),
    check (claimed_from < claimed_to),
    check (not onset or claimed_to is null),
    check ((op = 'retract') = (ref is not null)),
    check (case op when 'assert' then object is not null when 'retract' then object is null else true end),
    check ((op = 'assert') = (text_digest is not null))
);

create index assertion_slot on {schema}.assertion (tenant, subject, predicate, branch, slot, tx, seq);
create index assertion_branch on {schema}.assertion (tenant, branch, tx, seq) where branch <> '';
create index assertion_replaces on {schema}.assertion (tenant, replaces) where replaces is not null;

-- Which assertions an episode is a source of.
create table {schema}.assertion_source (
    tenant text collate "C" not null,
    episode_id text collate "C" not null,
    tx bigint not null,
    seq integer not null,
    primary key (tenant, episode_id, tx, seq)
);

-- The projection: a row for each piece of valid time that an assertion holds, or held, while it was known to.
create table {schema}.fact (
    tenant text collate "C" not null,
    assertion_tx bigint not null,
    assertion_seq integer not null,
    valid_from timestamptz not null,
    valid_to timestamptz,
    tx_from bigint not null check (tx_from >= assertion_tx),
    tx_to bigint,                            -- null: it is current
    recorded_at timestamptz not null,
    superseded_at timestamptz,
    superseded_by text collate "C",
    branch text collate "C" not null,        -- from here on as in the assertion
    subject text collate "C" not null,
    predicate text collate "C" not null,
    slot text collate "C" not null,
    session_id text collate "C",
    object_digest bytea,
    void boolean not null,
    primary key (tenant, assertion_tx, assertion_seq, valid_from, tx_from),
    check (valid_from < valid_to),
    check (tx_from < tx_to),
    check ((tx_to is null) = (superseded_at is null) and (tx_to is null) = (superseded_by is null)),
    check (void or object_digest is not null)
);

-- Current facts, in the order in which they are read.
create index fact_current on {schema}.fact (tenant, assertion_tx, assertion_seq, valid_from) where tx_to is null;
create index fact_subject on {schema}.fact (tenant, subject, predicate, assertion_tx, assertion_seq, valid_from)
where tx_to is null;
create index fact_predicate on {schema}.fact (tenant, predicate, assertion_tx, assertion_seq, valid_from)
where tx_to is null;
-- All facts: the log has no index by object.
create index fact_object on {schema}.fact (tenant, object_digest, assertion_tx, assertion_seq, valid_from);
-- What a transaction did.
create index fact_opened on {schema}.fact (tenant, tx_from);
create index fact_closed on {schema}.fact (tenant, tx_to) where tx_to is not null;

-- What facts are found by: one row for all assertions of the same subject, predicate and object.
create table {schema}.fact_text (
    tenant text collate "C" not null,
    digest bytea not null,
    text text not null,
    terms text[] not null,
    embedding_state text not null check (embedding_state in ('ready', 'pending', 'none')),
    primary key (tenant, digest)
);

create index fact_text_unembedded on {schema}.fact_text (tenant, digest) where embedding_state <> 'ready';

create table {schema}.fact_vector (
    tenant text collate "C" not null,
    digest bytea not null,
    embedding {vector}.vector not null,
    primary key (tenant, digest)
);

-- Episodes that were erased, so that they do not come back: hashes of their ids, keyed with the tenant's secret.
create table {schema}.tombstone (
    tenant text collate "C" not null,
    digest bytea not null,
    primary key (tenant, digest)
);
