-- Runs one step of the template "welcome", in one transaction with what the step writes:
--   psql -d DATABASE -f worker.sql
-- Prints "worked" or "nothing to do"; worker.sh repeats it.
\set ON_ERROR_STOP on
\set QUIET on
BEGIN;
SELECT coalesce(workflow_step_id, 0) AS workflow_step_id, claim_token, attempt, step_name, task_id, task_context ->> 'user' AS "user",
       dependency_results -> 'look_up' ->> 'mail' AS mail
FROM (VALUES (1)) AS always_a_row (x)
LEFT JOIN tasker.claim_steps('psql-worker', task_names => '{examples/welcome}') ON true \gset
SELECT :workflow_step_id = 0 AS idle, :workflow_step_id % 1000000 = 1 AS is_look_up \gset
\if :idle
    ROLLBACK;
    \echo nothing to do
\elif :is_look_up
    SELECT FROM tasker.complete_step(:workflow_step_id, :claim_token, jsonb_build_object('mail', :'user' || '@example.org'));
    COMMIT;
    \echo worked
\else
    SELECT :attempt = 1 AS busy \gset
    \if :busy
        -- The first attempt meets a mail server that is busy: a failure is reported, and the step comes back.
        SELECT FROM tasker.fail_step(:workflow_step_id, :claim_token, '{"message": "mail server busy"}', retry_after_seconds => 0);
    \else
        INSERT INTO example_mails VALUES (:task_id, :'mail', 'psql-worker');
        SELECT FROM tasker.complete_step(:workflow_step_id, :claim_token, '"sent"');
    \endif
    COMMIT;
    \echo worked
\endif
