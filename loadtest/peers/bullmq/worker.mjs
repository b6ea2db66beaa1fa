// A worker whose jobs do nothing.
import { Worker } from "bullmq";
import { connection } from "./connection.mjs";

new Worker("noop", async () => null, { connection: connection(), concurrency: 64 });
