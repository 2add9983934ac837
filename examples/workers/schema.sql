-- What the example workers write: a mail is sent exactly once for each task, or the primary key says so.
CREATE TABLE IF NOT EXISTS example_mails (
    task_id bigint PRIMARY KEY,
    address text NOT NULL,
    sent_by text NOT NULL
);
