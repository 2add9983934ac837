-- The nightly report: tables, the functions of its steps, its template and its schedule.
-- Run it as the role that the steps are to run as; running it again changes nothing.

CREATE SCHEMA IF NOT EXISTS report;

-- What there is to report about; an application would have tables of its own.
CREATE TABLE IF NOT EXISTS report.orders (
	order_id	bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	ordered_on	date NOT NULL,
	product		text NOT NULL,
	amount		numeric NOT NULL
);
CREATE TABLE IF NOT EXISTS report.refunds (
	refunded_on	date NOT NULL,
	order_id	bigint NOT NULL REFERENCES report.orders,
	amount		numeric NOT NULL
);

-- What comes out.
CREATE TABLE IF NOT EXISTS report.daily (
	day			date PRIMARY KEY,
	orders		int NOT NULL,
	sales		numeric NOT NULL,
	refunds		numeric NOT NULL,
	products	jsonb NOT NULL,
	task_id		bigint NOT NULL
);
CREATE TABLE IF NOT EXISTS report.alerts (
	day			date PRIMARY KEY,
	message		text NOT NULL
);

-- Each step is a function (task, step) that returns its result. It runs as the role that registered the template.

-- Decided once, so that all steps mean the same day, whenever they run or are retried.
CREATE OR REPLACE FUNCTION report.choose_day(task jsonb, step jsonb) RETURNS jsonb LANGUAGE sql AS $$
	SELECT to_jsonb(coalesce((task -> 'context' ->> 'day')::date, current_date - 1))
$$;

CREATE OR REPLACE FUNCTION report.day_of(step jsonb) RETURNS date LANGUAGE sql AS $$
	SELECT (step -> 'dependency_results' ->> 'day')::date
$$;

CREATE OR REPLACE FUNCTION report.sum_sales(task jsonb, step jsonb) RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_build_object('orders', count(*), 'total', coalesce(sum(amount), 0))
	FROM report.orders WHERE ordered_on = report.day_of(step)
$$;

CREATE OR REPLACE FUNCTION report.sum_refunds(task jsonb, step jsonb) RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_build_object('total', coalesce(sum(amount), 0))
	FROM report.refunds WHERE refunded_on = report.day_of(step)
$$;

-- step -> 'config' is the handler's "initialization".
CREATE OR REPLACE FUNCTION report.rank_products(task jsonb, step jsonb) RETURNS jsonb LANGUAGE sql AS $$
	SELECT coalesce(jsonb_agg(jsonb_build_object('product', product, 'total', total) ORDER BY total DESC, product), '[]')
	FROM (SELECT product, sum(amount) AS total FROM report.orders WHERE ordered_on = report.day_of(step)
		GROUP BY product ORDER BY total DESC, product LIMIT (step -> 'config' ->> 'top')::int) p
$$;

-- The row and the step's completion are one transaction: there is one of both, or none of either.
CREATE OR REPLACE FUNCTION report.store_day(task jsonb, step jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	parents jsonb := step -> 'dependency_results';
	today numeric := parents #>> '{sales,total}';
	usual numeric;
BEGIN
	SELECT avg(d.sales) INTO usual FROM report.daily d
	WHERE d.day >= report.day_of(step) - 7 AND d.day < report.day_of(step);
	INSERT INTO report.daily (day, orders, sales, refunds, products, task_id)
	VALUES (report.day_of(step), (parents #>> '{sales,orders}')::int, today, (parents #>> '{refunds,total}')::numeric,
		parents -> 'products', (task ->> 'task_id')::bigint)
	ON CONFLICT (day) DO UPDATE SET orders = excluded.orders, sales = excluded.sales, refunds = excluded.refunds,
		products = excluded.products, task_id = excluded.task_id;
	RETURN jsonb_build_object('day', report.day_of(step), 'sales', today, 'usual', round(usual, 2),
		'change_percent', round(100 * (today - usual) / nullif(usual, 0), 1));
END
$$;

CREATE OR REPLACE FUNCTION report.raise_alert(task jsonb, step jsonb) RETURNS jsonb LANGUAGE sql AS $$
	INSERT INTO report.alerts (day, message)
	SELECT (s ->> 'day')::date, format('sales of %s: %s, %s %% of change', s ->> 'day', s ->> 'sales', s ->> 'change_percent')
	FROM (SELECT step #> '{dependency_results,store}' AS s) r
	ON CONFLICT (day) DO UPDATE SET message = excluded.message
	RETURNING to_jsonb(message)
$$;

-- Three steps side by side, one that waits for them, and one that runs only when sales fell.
SELECT created FROM tasker.register_task_template('{
	"name": "nightly_report", "namespace": "report", "version": "1.0.0",
	"steps": [
		{"name": "day", "handler": {"sql": "report.choose_day"}},
		{"name": "sales", "depends_on": ["day"], "handler": {"sql": "report.sum_sales"}, "timeout_seconds": 600},
		{"name": "refunds", "depends_on": ["day"], "handler": {"sql": "report.sum_refunds"}, "timeout_seconds": 600},
		{"name": "products", "depends_on": ["day"], "handler": {"sql": "report.rank_products", "initialization": {"top": 3}}, "timeout_seconds": 600},
		{"name": "store", "depends_on": ["day", "sales", "refunds", "products"], "handler": {"sql": "report.store_day"},
		 "result_schema": {"type": "object", "required": ["day", "sales"]}},
		{"name": "alert", "depends_on": ["store"], "handler": {"sql": "report.raise_alert"},
		 "when": {"path": "results.store.change_percent", "op": "<=", "value": -20}}
	]}');

SELECT created, next_due_at FROM tasker.create_schedule('nightly', 'nightly_report', '15 0 * * *', namespace => 'report', timezone => 'UTC');
