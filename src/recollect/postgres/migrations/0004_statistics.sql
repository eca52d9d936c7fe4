-- No plan depends on what was said, so the planner takes no samples of it: they would outlive an erasure.

alter table {schema}.episode
    alter column input set statistics 0,
    alter column output set statistics 0,
    alter column metadata set statistics 0,
    alter column transcript set statistics 0,
    alter column terms set statistics 0;

alter table {schema}.episode_vector alter column embedding set statistics 0;

alter table {schema}.fact_transaction
    alter column actor set statistics 0,
    alter column reason set statistics 0;

alter table {schema}.assertion
    alter column object set statistics 0,
    alter column actor set statistics 0,
    alter column reason set statistics 0;

alter table {schema}.fact_text
    alter column text set statistics 0,
    alter column terms set statistics 0;

alter table {schema}.fact_vector alter column embedding set statistics 0;
