// Keeps BullMQ busy for a while and prints what it did, as JSON.
//
// node load.mjs chain10|noop1|fan100 SECONDS AT_ONCE
import { spawn } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { FlowProducer, QueueEvents } from "bullmq";
import { connection } from "./connection.mjs";

const WARM_UP_MS = 3000;
const queueName = "noop";
const job = (children = []) => ({
  name: "noop",
  queueName,
  data: {},
  opts: { removeOnComplete: true },
  children,
});

const chain = (length) => {
  let flow = job();
  for (let at = 1; at < length; at++) flow = job([flow]);
  return flow;
};
const shapes = {
  noop1: [1, () => chain(1)],
  chain10: [10, () => chain(10)],
  fan100: [101, () => job(Array.from({ length: 100 }, () => job()))],
};

const [workload, seconds, atOnce] = process.argv.slice(2);
const [stages, shape] = shapes[workload];
const worker = spawn(process.execPath, ["worker.mjs", "worker"], { stdio: "inherit" });
const flows = new FlowProducer({ connection: connection() });
const events = new QueueEvents(queueName, { connection: connection() });
await events.waitUntilReady();

const ended = [];
const measuredFrom = performance.now() + WARM_UP_MS;
const until = measuredFrom + Number(seconds) * 1000;

async function keepBusy() {
  while (performance.now() < until) {
    const began = performance.now();
    const { job } = await flows.add(shape());
    // One that ended before it is waited for is removed: the answer says so in either way.
    await job.waitUntilFinished(events).catch((error) => {
      if (!/Missing key/.test(String(error))) throw error;
    });
    ended.push([began, performance.now()]);
  }
}

const busy = Array.from({ length: Number(atOnce) }, keepBusy);
await sleep(WARM_UP_MS);
console.log(JSON.stringify({ measuring: true }));
await sleep(Number(seconds) * 1000);
console.log(JSON.stringify({ measured: true }));
await Promise.all(busy);
worker.kill("SIGTERM");
const times = ended
  .filter(([, end]) => measuredFrom <= end && end < until)
  .map(([began, end]) => Math.round((end - began) * 1000) / 1000)
  .sort((one, other) => one - other);
console.log(JSON.stringify({ stages: times.length * stages, seconds: Number(seconds), times_ms: times }));
process.exit(0);
