// Says what work was done, where the measuring reads it: of each stage that it began and was done, and when.
import { connect } from "node:net";
import { now } from "./conversation.mjs";

const ledger = connect(process.env.LEDGER);
let lines = "";

export function note({ execution, stage, last }) {
  const at = now();
  const of = `${process.pid} ${execution} ${stage} ${last ? 1 : 0}`;
  if (lines === "") setImmediate(write);
  lines += `${of} B ${at}\n${of} D ${at}\n`;
}

function write() {
  ledger.write(lines);
  lines = "";
}
