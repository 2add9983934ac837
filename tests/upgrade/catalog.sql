-- Everything an installed extension consists of, a line a fact, so that two
-- installations can be compared. Positions of columns count those that are there.
WITH member AS (
	SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
	WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'tasker_core'),
relation AS (
	SELECT c.* FROM pg_class c JOIN member m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid)
SELECT fact FROM (
	SELECT format('member %s', pg_describe_object(m.classid, m.objid, 0)) AS fact FROM member m
	UNION ALL
	SELECT format('relation %s: kind %s, owner %s, privileges %s, options %s, bound %s, row security %s %s, comment %s', c.oid::regclass, c.relkind, c.relowner::regrole,
		c.relacl, c.reloptions, pg_get_expr(c.relpartbound, c.oid), c.relrowsecurity, c.relforcerowsecurity, obj_description(c.oid, 'pg_class')) FROM relation c
	UNION ALL
	SELECT format('column %s.%s: no. %s, %s, not null %s, default %s, storage %s, comment %s', c.oid::regclass, a.attname,
		row_number() OVER (PARTITION BY c.oid ORDER BY a.attnum), format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid), a.attstorage,
		col_description(c.oid, a.attnum))
	FROM relation c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
	UNION ALL
	SELECT format('constraint %s.%s: %s', c.oid::regclass, k.conname, pg_get_constraintdef(k.oid)) FROM relation c JOIN pg_constraint k ON k.conrelid = c.oid
	UNION ALL
	SELECT format('index %s', pg_get_indexdef(i.indexrelid)) FROM relation c JOIN pg_index i ON i.indrelid = c.oid
	UNION ALL
	SELECT format('sequence %s: %s', c.oid::regclass, (s.seqtypid::regtype, s.seqstart, s.seqincrement, s.seqmax, s.seqmin, s.seqcache, s.seqcycle))
	FROM relation c JOIN pg_sequence s ON s.seqrelid = c.oid
	UNION ALL
	SELECT format('view %s: %s', c.oid::regclass, pg_get_viewdef(c.oid)) FROM relation c WHERE c.relkind = 'v'
	UNION ALL
	SELECT format('trigger %s', pg_get_triggerdef(t.oid)) FROM relation c JOIN pg_trigger t ON t.tgrelid = c.oid AND NOT t.tgisinternal
	UNION ALL
	SELECT format('policy %s: %s', c.oid::regclass, (p.polname, p.polcmd, p.polpermissive, p.polroles, pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)))
	FROM relation c JOIN pg_policy p ON p.polrelid = c.oid
	UNION ALL
	SELECT format('function %s, owner %s, privileges %s, comment %s', pg_get_functiondef(p.oid), p.proowner::regrole, p.proacl, obj_description(p.oid, 'pg_proc'))
	FROM pg_proc p JOIN member m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid
	UNION ALL
	SELECT format('dumped %s: %L', x.oid::regclass, x.condition) FROM pg_extension e, unnest(e.extconfig, e.extcondition) x(oid, condition) WHERE e.extname = 'tasker_core'
	UNION ALL
	SELECT format('schema %s: owner %s, privileges %s, comment %s', n.nspname, n.nspowner::regrole, n.nspacl, obj_description(n.oid, 'pg_namespace')) FROM pg_namespace n WHERE n.nspname = 'tasker') f
ORDER BY fact COLLATE "C"
