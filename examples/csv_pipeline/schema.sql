-- No unique constraint: importing a row twice would show.
CREATE TABLE IF NOT EXISTS example_products (
	task_id		bigint NOT NULL,
	sku			text NOT NULL,
	price_cents	int NOT NULL,
	stock		int NOT NULL,
	imported_by	int NOT NULL
);
