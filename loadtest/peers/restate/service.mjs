// The same work in two ways: as steps of one handler, and as calls of another service for each stage.
// Registers itself with the server once it listens.
import { createServer } from "node:http2";

// The SDK asks for it, and Node.js has it from version 22 on.
Promise.withResolvers ??= () => {
  const parts = {};
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }));
  return parts;
};
const { RestatePromise, createEndpointHandler, service } = await import(
  "@restatedev/restate-sdk"
);
const { note } = await import("./ledger.mjs");

const stage = service({ name: "Stage", handlers: { run: async (_, job) => note(job) } });

// `one` does a stage. A fan has its branches, and a join.
async function work(execution, shape, one) {
  for (let at = 0; at < (shape.chain ?? 0); at++) {
    await one({ execution, stage: at, last: at === shape.chain - 1 });
  }
  if (shape.fan) {
    const branch = (_, at) => one({ execution, stage: at, last: false });
    await RestatePromise.all(Array.from({ length: shape.fan }, branch));
    await one({ execution, stage: shape.fan, last: true });
  }
}

const steps = service({
  name: "Steps",
  handlers: {
    run: (ctx, { execution, shape }) =>
      work(execution, shape, (job) => ctx.run("stage", () => note(job))),
  },
});

const calls = service({
  name: "Calls",
  handlers: {
    run: (ctx, { execution, shape }) =>
      work(execution, shape, (job) => ctx.serviceClient(stage).run(job)),
  },
});

const port = Number(process.env.SERVICE_PORT);
const server = createServer(createEndpointHandler({ services: [stage, steps, calls] }));
await new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
const registered = await fetch(`${process.env.ADMIN_URL}/deployments`, {
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify({ uri: `http://127.0.0.1:${port}` }),
});
if (!registered.ok) throw new Error(`not registered: ${await registered.text()}`);
