-- Seconds that a statement takes in the server when it is run so many times, by a plan that is kept.
CREATE OR REPLACE FUNCTION bench_times(statement text, times int) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
	began timestamptz;
BEGIN
	EXECUTE format('CREATE OR REPLACE FUNCTION pg_temp.bench_loop(n int) RETURNS void LANGUAGE plpgsql AS $f$ BEGIN FOR i IN 1 .. n LOOP PERFORM %s; END LOOP; END $f$',
		regexp_replace(statement, '^\s*SELECT', '', 'i'));
	PERFORM pg_temp.bench_loop(3);
	began := clock_timestamp();
	PERFORM pg_temp.bench_loop(times);
	RETURN extract(epoch FROM clock_timestamp() - began);
END $$;
