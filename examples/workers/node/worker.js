// A worker for the template "welcome", with the driver pg and nothing else.
//
//   DATABASE_URL=postgresql:///shop node worker.js [MAX_STEPS]
//
// Each step runs in one transaction with what it writes. While there is nothing to do it waits for a notification, and
// looks every few seconds anyway, since notifications can be lost. TERM and INT end it after the step in hand.
"use strict";
const os = require("os");
const { Client, types } = require("pg");

types.setTypeParser(20, BigInt); // bigint: workflow_step_id and claim_token

const POLL_MS = 5000;
const WORKER = `node-worker-${os.hostname()}-${process.pid}`;

const HANDLERS = {
  async look_up(client, claim) {
    return { mail: `${claim.task_context.user}@example.org` };
  },
  async send(client, claim) {
    if (claim.attempt === 1) throw new Error("mail server busy"); // the first attempt meets a busy mail server
    await client.query("INSERT INTO example_mails VALUES ($1, $2, $3)",
      [claim.task_id, claim.dependency_results.look_up.mail, "node-worker"]);
    return "sent";
  },
};

async function runOne(client) {
  const { rows: [claim] } = await client.query(
    "SELECT * FROM tasker.claim_steps($1, task_names => '{examples/welcome}', lease_seconds => 60)", [WORKER]);
  if (!claim) return false;
  const held = [claim.workflow_step_id, claim.claim_token];
  try {
    await client.query("BEGIN"); // the handler's writes and the completion: both or neither
    const result = await HANDLERS[claim.step_name](client, claim);
    const { rows: [{ status }] } = await client.query(
      "SELECT status FROM tasker.complete_step($1, $2, $3)", [...held, JSON.stringify(result)]);
    // Completed before: an earlier try was committed after all; its writes stand, not these.
    await client.query(status === "completed" ? "COMMIT" : "ROLLBACK");
  } catch (error) {
    await client.query("ROLLBACK");
    if (error.code === "TC011") return true; // the lease is lost: somebody else has the step, and nothing was stored
    await client.query("SELECT FROM tasker.fail_step($1, $2, $3)",
      [...held, JSON.stringify({ class: error.name, message: error.message })]);
  }
  return true;
}

async function main(maxSteps) {
  let stopping = false;
  let wake = () => {};
  for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => { stopping = true; wake(); });
  const config = { connectionString: process.env.DATABASE_URL };
  const client = new Client(config);
  const listener = new Client(config);
  await client.connect();
  await listener.connect();
  listener.on("notification", () => wake());
  await listener.query("LISTEN tasker_ready");
  for (let done = 0; !stopping && done < maxSteps;) {
    if (await runOne(client)) {
      done += 1;
    } else {
      await new Promise((resolve) => { wake = resolve; setTimeout(resolve, POLL_MS).unref(); });
    }
  }
  await client.end();
  await listener.end();
}

main(Number(process.argv[2] || Infinity)).catch((error) => { console.error(error); process.exit(1); });
