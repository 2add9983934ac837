#!/usr/bin/env python3
"""A worker for the template "welcome", with psycopg2 and nothing else.

    DATABASE_URL=postgresql:///shop python3 worker.py [MAX_STEPS]

Each step runs in one transaction with what it writes. While there is nothing to do it waits for a notification,
and looks every few seconds anyway, since notifications can be lost. TERM and INT end it after the step in hand.
"""
import json
import os
import select
import signal
import socket
import sys

import psycopg2

POLL_SECONDS = 5
WORKER = f"python-worker-{socket.gethostname()}-{os.getpid()}"


def look_up(cursor, task_id, context, parents, attempt):
    return {"mail": f"{context['user']}@example.org"}


def send(cursor, task_id, context, parents, attempt):
    if attempt == 1:  # the first attempt meets a mail server that is busy
        raise RuntimeError("mail server busy")
    cursor.execute("INSERT INTO example_mails VALUES (%s, %s, %s)", (task_id, parents["look_up"]["mail"], "python-worker"))
    return "sent"


HANDLERS = {"look_up": look_up, "send": send}


def run_one(connection):
    """Claims a step and runs it; False when there is none."""
    with connection, connection.cursor() as cursor:  # the claim is committed by itself: others see it
        cursor.execute(
            "SELECT workflow_step_id, claim_token, attempt, task_id, step_name, task_context, dependency_results"
            " FROM tasker.claim_steps(%s, task_names => '{examples/welcome}', lease_seconds => 60)", (WORKER,))
        claim = cursor.fetchone()
    if claim is None:
        return False
    step_id, token, attempt, task_id, name, context, parents = claim
    try:
        with connection, connection.cursor() as cursor:  # the handler's writes and the completion: both or neither
            result = HANDLERS[name](cursor, task_id, context, parents, attempt)
            cursor.execute("SELECT status FROM tasker.complete_step(%s, %s, %s)", (step_id, token, json.dumps(result)))
            if cursor.fetchone()[0] != "completed":
                connection.rollback()  # an earlier try was committed after all: its writes stand, not these
    except psycopg2.Error as error:
        if error.pgcode == "TC011":  # the lease is lost: somebody else has the step, and nothing was stored
            return True
        fail(connection, step_id, token, error)
    except Exception as error:
        fail(connection, step_id, token, error)
    return True


def fail(connection, step_id, token, error):
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT FROM tasker.fail_step(%s, %s, %s)",
                       (step_id, token, json.dumps({"class": type(error).__name__, "message": str(error)})))


def main(max_steps):
    stopping = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.append(True))
    url = os.environ["DATABASE_URL"]
    connection, listener = psycopg2.connect(url), psycopg2.connect(url)
    listener.autocommit = True
    listener.cursor().execute("LISTEN tasker_ready")
    done = 0
    while not stopping and (max_steps is None or done < max_steps):
        if run_one(connection):
            done += 1
        else:
            select.select([listener], [], [], POLL_SECONDS)
            listener.poll()
            listener.notifies.clear()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else None)
