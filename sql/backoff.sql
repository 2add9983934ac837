--
-- calculate_backoff: the series of each strategy, caps, jitter within bounds and
-- the same for the same seed, no overflow at the far end.
--

SELECT attempt, tasker.calculate_backoff('exponential', attempt) AS exponential, tasker.calculate_backoff('linear', attempt) AS linear,
	tasker.calculate_backoff('fibonacci', attempt) AS fibonacci, tasker.calculate_backoff('none', attempt) AS none
FROM generate_series(1, 12) attempt;

-- base and cap
SELECT attempt, tasker.calculate_backoff('exponential', attempt, 250, 3000) AS exponential, tasker.calculate_backoff('linear', attempt, 250, 1100) AS linear,
	tasker.calculate_backoff('fibonacci', attempt, 250, 3000) AS fibonacci
FROM generate_series(1, 7) attempt;
SELECT tasker.calculate_backoff('exponential', 3, 0) AS no_base, tasker.calculate_backoff('exponential', 3, 1000, 0) AS no_cap,
	tasker.calculate_backoff('exponential', 1, 5000, 10) AS base_above_cap, tasker.calculate_backoff('none', 1, 5000, 10, 1, 7) AS none;

-- the far end
SELECT strategy, attempt, tasker.calculate_backoff(strategy, attempt, 1000, 9223372036854775807) AS delay, tasker.calculate_backoff(strategy, attempt) AS capped
FROM unnest('{exponential,linear,fibonacci,none}'::text[]) strategy, unnest('{54,55,63,64,93,2147483647}'::int[]) attempt ORDER BY 1, 2;
SELECT tasker.calculate_backoff('exponential', 2147483647, 9223372036854775807, 9223372036854775807) AS largest,
	tasker.calculate_backoff('linear', 2147483647, 1, 9223372036854775807) AS exact;

-- jitter: 0 and 1 at the ends, symmetric, clamped to [0, max], another for each seed
SELECT jitter, min(d) >= round(10000 * (1 - jitter)) AS not_below, max(d) <= round(10000 * (1 + jitter)) AS not_above,
	count(DISTINCT d) > 5000 * jitter AS spread, abs(avg(d) - 10000) <= 100 * jitter + 0.001 AS centred
FROM unnest('{0,0.1,0.5,1}'::numeric[]) jitter, generate_series(1, 20000) seed, tasker.calculate_backoff('linear', 1, 10000, 1000000, jitter::float8, seed) d
GROUP BY 1 ORDER BY 1;
SELECT min(d) BETWEEN 0 AND 100 AS near_zero, max(d) AS capped FROM generate_series(-50000, 50000) seed, tasker.calculate_backoff('exponential', 4, 1000, 10000, 1, seed) d;
SELECT min(d) >= 0 AS not_negative, max(d) > 9223372036854775807 / 10 * 9 AS no_overflow
FROM generate_series(1, 1000) seed, tasker.calculate_backoff('exponential', 2147483647, 9223372036854775807, 9223372036854775807, 1, seed) d;
SELECT tasker.calculate_backoff('linear', 1, 10000, 30000, 0.5, 42) = tasker.calculate_backoff('linear', 1, 10000, 30000, 0.5, 42) AS repeatable,
	tasker.calculate_backoff('linear', 1, 10000, 30000, 0.5, 42) <> tasker.calculate_backoff('linear', 1, 10000, 30000, 0.5, 43) AS by_seed,
	tasker.calculate_backoff('linear', 1, 10000, 30000, 0.5) AS no_seed,
	tasker.calculate_backoff('linear', 1, 10000, 30000, 0, 42) AS no_jitter,
	tasker.calculate_backoff('linear', 1, NULL, NULL, NULL, NULL) AS defaults;

-- immutable: may stand in an index
SELECT provolatile, proparallel FROM pg_proc WHERE oid = 'tasker.calculate_backoff'::regproc;
CREATE TEMP TABLE attempts (n int);
CREATE INDEX ON attempts (tasker.calculate_backoff('exponential', n));

-- refused
CREATE FUNCTION pg_temp.refusal(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
	hint text;
BEGIN
	EXECUTE 'SELECT ' || call;
	RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(' | ', SQLSTATE, SQLERRM, detail, hint);
END $$;
SELECT call, pg_temp.refusal('tasker.calculate_backoff' || call) FROM unnest(ARRAY[
	'(NULL, 1)', '(''linear'', NULL)', '(''quadratic'', 1)', '(''Linear'', 1)', '('''', 1)', '(''linear'', 0)', '(''linear'', -1)',
	'(''linear'', 1, -1)', '(''linear'', 1, 1, -1)', '(''linear'', 1, 1, 1, -0.1)', '(''linear'', 1, 1, 1, 1.1)', '(''linear'', 1, 1, 1, ''NaN'')',
	'(''linear'', 1, 1, 1, ''Infinity'')']) call;

SELECT tasker.library_version() = extversion AS same_version FROM pg_extension WHERE extname = 'tasker_core';
