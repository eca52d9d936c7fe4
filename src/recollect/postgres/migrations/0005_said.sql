-- Whether something was said before is asked with every assertion, and must not cost more the longer a log is.
create index assertion_said on {schema}.assertion (tenant, text_digest) where text_digest is not null;
