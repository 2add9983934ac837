-- The application's own tables. They live in the same database as the workflows, so that a step's
-- work and its completion can be one transaction.

CREATE SCHEMA shop;
COMMENT ON SCHEMA shop IS 'example order_fulfillment of tasker_core';

-- What the application may do, its workers included: take orders and run steps of its own namespace, and use
-- its own tables. The role of the run itself, which looks at everything, is another.
DO $$
BEGIN
	CREATE ROLE order_fulfillment_app;
EXCEPTION WHEN duplicate_object THEN
	NULL;
END $$;
SELECT tasker.grant_access('order_fulfillment_app', 'producer', '{fulfillment}'), tasker.grant_access('order_fulfillment_app', 'worker', '{fulfillment}');
GRANT USAGE ON SCHEMA shop TO order_fulfillment_app;
ALTER DEFAULT PRIVILEGES IN SCHEMA shop GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO order_fulfillment_app;

CREATE TABLE shop.products (
	sku				text PRIMARY KEY,
	name			text NOT NULL,
	price_cents		int NOT NULL CHECK (price_cents > 0),
	initial_stock	int NOT NULL CHECK (initial_stock >= 0),
	stock			int NOT NULL CHECK (stock >= 0)
);
COMMENT ON COLUMN shop.products.initial_stock IS 'never changed after the start: what the proof is measured against';

CREATE TABLE shop.orders (
	order_number	text PRIMARY KEY,
	task_id			bigint NOT NULL UNIQUE,
	customer		text NOT NULL,
	card			text NOT NULL,
	total_cents		int CHECK (total_cents > 0)
);
COMMENT ON COLUMN shop.orders.total_cents IS 'set when the order is found valid';

-- As the customer wrote them: what the shop does not sell is found by validate_order.
CREATE TABLE shop.order_lines (
	order_number	text NOT NULL REFERENCES shop.orders,
	sku				text NOT NULL,
	quantity		int NOT NULL CHECK (quantity > 0),
	PRIMARY KEY (order_number, sku)
);

CREATE TABLE shop.reservations (
	order_number	text NOT NULL REFERENCES shop.orders,
	sku				text NOT NULL REFERENCES shop.products,
	quantity		int NOT NULL CHECK (quantity > 0),
	PRIMARY KEY (order_number, sku)
);

CREATE TABLE shop.payments (
	payment_id		bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	order_number	text NOT NULL UNIQUE REFERENCES shop.orders,
	amount_cents	int NOT NULL CHECK (amount_cents > 0),
	authorization_code	text NOT NULL
);

CREATE TABLE shop.shipments (
	shipment_id		bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	order_number	text NOT NULL UNIQUE REFERENCES shop.orders,
	tracking_number	text NOT NULL
);
