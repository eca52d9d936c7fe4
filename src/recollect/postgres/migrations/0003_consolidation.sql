-- How far the episodes of a tenant are consolidated. Most of them need no row and no index for it.

-- Every episode up to this number is consolidated, but for those that were passed over.
alter table {schema}.tenant add column consolidated bigint not null default 0;

create table {schema}.passed_over (
    tenant text collate "C" not null,
    seq bigint not null,
    primary key (tenant, seq),
    foreign key (tenant, seq) references {schema}.episode on delete cascade
);
