// Calls a service by the server's ingress, and waits for its answer.
import { readFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { converse } from "./conversation.mjs";

const READY_LIMIT_MS = 60_000;
const agent = new Agent({ keepAlive: true, maxSockets: Infinity });
const url = `${process.env.INGRESS_URL}/${process.env.SERVICE}/run`;
const options = { method: "POST", agent, headers: { "content-type": "application/json" } };

function run(execution, shape) {
  return new Promise((resolve, reject) => {
    const asked = request(url, options, (answer) => {
      let text = "";
      answer.setEncoding("utf8").on("data", (chunk) => (text += chunk));
      answer.on("end", () => {
        if (answer.statusCode === 200) resolve();
        else reject(new Error(`${answer.statusCode}: ${text}`));
      });
    });
    asked.on("error", reject);
    asked.end(JSON.stringify({ execution, shape }));
  });
}

// The service registers itself meanwhile.
const until = performance.now() + READY_LIMIT_MS;
while (!(await run("ready", { chain: 1 }).then(() => true, () => false))) {
  if (performance.now() > until) throw new Error("the service does not answer");
  await sleep(200);
}

const version = (name) => {
  const manifest = new URL(`node_modules/@restatedev/${name}/package.json`, import.meta.url);
  return JSON.parse(readFileSync(manifest)).version;
};
await converse({ restate: version("restate-server"), sdk: version("restate-sdk") }, run);
