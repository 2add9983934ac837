-- Expenses that people approve: who has to, depends on the amount. All of it is in the database, so that
-- no worker is needed: the steps are SQL, the people's decisions are signals.
--
--   psql -f approval.sql        makes the schema approval anew, and registers the templates

\set ON_ERROR_STOP on
BEGIN;
-- only what it made itself
DO $$ BEGIN
	IF obj_description(to_regnamespace('approval'), 'pg_namespace') = 'example of tasker_core' THEN
		DROP SCHEMA approval CASCADE;
	END IF;
END $$;
CREATE SCHEMA approval;
COMMENT ON SCHEMA approval IS 'example of tasker_core';

CREATE TABLE approval.expenses (
	expense_id	int PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
	requester	text NOT NULL,
	amount		numeric NOT NULL,
	outcome		text CHECK (outcome IN ('paid', 'refused')),
	decided_by	text[]
);
CREATE TABLE approval.payments (
	expense_id	int PRIMARY KEY REFERENCES approval.expenses,
	amount		numeric NOT NULL CHECK (amount > 0),
	task_id		bigint NOT NULL
);

-- Below 1,000 nobody is asked, below 5,000 the manager, from there on finance as well.
CREATE FUNCTION approval.route(task jsonb, step jsonb) RETURNS jsonb LANGUAGE sql AS $$
	SELECT CASE
		WHEN (task #>> '{context,amount}')::numeric < 1000 THEN '{"branches": ["auto_approve"]}'::jsonb
		WHEN (task #>> '{context,amount}')::numeric < 5000 THEN '{"branches": ["manager_approval"]}'
		ELSE '{"branches": ["manager_approval", "finance_review"]}' END $$;

CREATE FUNCTION approval.auto_approve(task jsonb, step jsonb) RETURNS jsonb LANGUAGE sql AS $$
	SELECT '{"approved": true, "by": "the rules"}'::jsonb $$;

-- Whoever was asked has to agree; who was not asked has no result.
CREATE FUNCTION approval.decide(task jsonb, step jsonb) RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_build_object('approved', bool_and((d.value ->> 'approved')::boolean), 'by', jsonb_agg(d.value -> 'by' ORDER BY d.key))
	FROM jsonb_each(step -> 'dependency_results') d WHERE d.value <> 'null' $$;

-- What the task decided, and what it pays, is written with the step that does so: both happen, or neither.
CREATE FUNCTION approval.pay(task jsonb, step jsonb) RETURNS jsonb LANGUAGE sql AS $$
	INSERT INTO approval.payments
	SELECT (task #>> '{context,expense}')::int, (task #>> '{context,amount}')::numeric, (task ->> 'task_id')::bigint
	RETURNING jsonb_build_object('paid', amount) $$;

CREATE FUNCTION approval.record(task jsonb, step jsonb) RETURNS jsonb LANGUAGE sql AS $$
	UPDATE approval.expenses
	SET outcome = CASE WHEN (step #>> '{dependency_results,decide,approved}')::boolean THEN 'paid' ELSE 'refused' END,
		decided_by = ARRAY(SELECT jsonb_array_elements_text(step #> '{dependency_results,decide,by}'))
	WHERE expense_id = (task #>> '{context,expense}')::int
	RETURNING jsonb_build_object('outcome', outcome) $$;

-- An expense and its task are one transaction too.
CREATE FUNCTION approval.submit(requester text, amount numeric) RETURNS bigint LANGUAGE sql AS $$
	WITH expense AS (
		INSERT INTO approval.expenses (requester, amount) VALUES (requester, amount) RETURNING expense_id)
	SELECT t.task_id FROM expense e, tasker.create_task('expense', jsonb_build_object('expense', e.expense_id, 'amount', amount), 'approval',
		initiator => requester) t $$;

CREATE FUNCTION approval.register(template jsonb) RETURNS boolean LANGUAGE sql AS $$
	SELECT created FROM tasker.register_task_template(template) $$;
COMMIT;

SELECT approval.register('{"name": "payout", "namespace": "approval", "version": "1.0.0",
	"input_schema": {"required": ["expense", "amount"]},
	"steps": [{"name": "pay", "handler": {"sql": "approval.pay"}}]}');
SELECT approval.register('{"name": "expense", "namespace": "approval", "version": "1.0.0",
	"input_schema": {"required": ["expense", "amount"], "properties": {"amount": {"type": "number", "exclusiveMinimum": 0}}},
	"steps": [
		{"name": "route", "type": "decision", "handler": {"sql": "approval.route"}},
		{"name": "auto_approve", "depends_on": ["route"], "handler": {"sql": "approval.auto_approve"}},
		{"name": "manager_approval", "depends_on": ["route"], "wait_for_signal": {"name": "manager"}},
		{"name": "finance_review", "depends_on": ["route"], "wait_for_signal": {"name": "finance", "timeout_seconds": 1209600, "on_timeout": "fail"}},
		{"name": "decide", "type": "deferred_convergence", "depends_on": ["auto_approve", "manager_approval", "finance_review"], "handler": {"sql": "approval.decide"}},
		{"name": "payout", "depends_on": ["decide"], "when": {"path": "results.decide.approved", "op": "=", "value": true},
			"workflow": {"name": "payout", "context": {"expense": {"path": "context.expense"}, "amount": {"path": "context.amount"}}}},
		{"name": "record", "depends_on": ["decide", "payout"], "trigger_rule": "none_failed", "handler": {"sql": "approval.record"}}]}');
