SELECT q.* FROM (
	SELECT t.task_id * 1000000 + s.step_no AS workflow_step_id, t.task_id, s.named_step_id, s.name, w.state,
		p.total = p.satisfied AS dependencies_satisfied, w.attempts < w.max_attempts AS retry_eligible,
		w.state IN ('pending', 'waiting_for_retry') AND p.total = p.satisfied AND coalesce(q.visible_at <= now(), true) AS ready,
		p.total, p.satisfied, w.attempts, w.max_attempts
	FROM tasker.tasks t
	JOIN tasker.named_steps s ON s.named_task_id = t.named_task_id
	LEFT JOIN tasker.step_queue q ON q.task_id = t.task_id AND q.step_no = s.step_no
	LEFT JOIN LATERAL (SELECT a.to_state, a.attempt FROM tasker.step_attempts a
		WHERE a.task_id = t.task_id AND a.step_no = s.step_no ORDER BY a.attempt_no DESC LIMIT 1) l ON true
	CROSS JOIN LATERAL (SELECT CASE WHEN q.phase = 'c' THEN 'in_progress' WHEN q.task_id IS NOT NULL THEN 'pending'
		ELSE coalesce(l.to_state, 'pending') END AS state, coalesce(q.attempts, l.attempt, 0) AS attempts, s.max_attempts) w
	CROSS JOIN LATERAL (SELECT count(*) AS total, count(d.task_id) AS satisfied FROM tasker.named_step_edges e
		LEFT JOIN tasker.step_attempts d ON d.task_id = t.task_id AND d.step_no = e.from_step_no AND d.outcome = 'completed'
		WHERE e.named_task_id = t.named_task_id AND e.to_step_no = s.step_no) p
	WHERE t.task_id = %<task>d
	ORDER BY s.step_no) q
