// What a client is told and what it answers, JSON in lines:
//
// {"begin": {"shape": {"chain": 10} or {"fan": 100}, "at_once": N, "prefix": TEXT}}: keeps so many executions running.
// {"end": {}}: begins no more of them, waits for those that run, and answers
// {"executions": [[NAME, BEGAN, ENDED], …]}, times in nanoseconds of the machine's clock.
import { createInterface } from "node:readline";

export const now = () => Math.round((performance.timeOrigin + performance.now()) * 1e6);

const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);

// `run(name, shape)` submits an execution and resolves when it has ended.
export async function converse(versions, run) {
  await run("ready", { chain: 1 });
  say({ ready: { ...versions, node: process.version } });
  let busy;
  for await (const line of createInterface({ input: process.stdin })) {
    const { begin, end } = JSON.parse(line);
    if (begin) busy = keepBusy(run, begin);
    if (end) say({ executions: await busy() });
  }
  process.exit(0);
}

function keepBusy(run, { shape, at_once, prefix }) {
  let isOver = false;
  const executions = [];
  let count = 0;
  const oneByOne = async () => {
    while (!isOver) {
      const name = `${prefix}-${count++}`;
      const began = now();
      await run(name, shape);
      executions.push([name, began, now()]);
    }
  };
  const running = Promise.all(Array.from({ length: at_once }, oneByOne));
  return async () => {
    isOver = true;
    await running;
    return executions;
  };
}
