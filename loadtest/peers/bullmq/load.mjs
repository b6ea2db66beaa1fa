// Submits flows: a chain is a job whose child is a job whose child …, of which the innermost runs first; a fan
// is a job with so many children.
import { readFileSync } from "node:fs";
import { FlowProducer, QueueEvents } from "bullmq";
import { connection } from "./connection.mjs";
import { converse } from "./conversation.mjs";

const queueName = "noop";
const flows = new FlowProducer({ connection: connection() });
const events = new QueueEvents(queueName, { connection: connection() });
await events.waitUntilReady();

const waiting = new Map();
events.on("completed", ({ jobId }) => waiting.get(jobId)?.resolve());
events.on("failed", ({ jobId, failedReason }) => {
  console.error(`job ${jobId} failed: ${failedReason}`);
  process.exit(1);
});

const job = (execution, stage, last, children = []) => ({
  name: "noop",
  queueName,
  data: { execution, stage, last },
  opts: last ? { removeOnComplete: true, jobId: execution } : { removeOnComplete: true },
  children,
});

function chain(execution, length) {
  let flow = job(execution, 0, length === 1);
  for (let stage = 1; stage < length; stage++) flow = job(execution, stage, stage === length - 1, [flow]);
  return flow;
}

function fan(execution, branches) {
  const children = Array.from({ length: branches }, (_, stage) => job(execution, stage, false));
  return job(execution, branches, true, children);
}

async function run(name, shape) {
  const ended = new Promise((resolve) => waiting.set(name, { resolve }));
  await flows.add(shape.chain ? chain(name, shape.chain) : fan(name, shape.fan));
  await ended;
  waiting.delete(name);
}

const manifest = new URL("node_modules/bullmq/package.json", import.meta.url);
await converse({ bullmq: JSON.parse(readFileSync(manifest)).version }, run);
