// A worker whose jobs do nothing.
import { Worker } from "bullmq";
import { connection } from "./connection.mjs";
import { note } from "./ledger.mjs";

new Worker("noop", async ({ data }) => note(data), { connection: connection(), concurrency: 64 });
