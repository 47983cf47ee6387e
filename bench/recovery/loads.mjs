/**
 * Journals that hosts' writes left: a started array, a drive that has no space so that nothing leaves the journal, 4K random
 * writes until it is full, and then a kill. How many blocks a record has is what group commit makes of the load.
 */
import { join } from "node:path";
import { LoadClient } from "../../dist/bench/load-client.js";
import { MeasuredArray } from "../growth/array.mjs";
import { MiB } from "./rig.mjs";

/** All of it can be dirty with the default memory. */
const SPAN_MEBIBYTES = 64;
/** Of the journal, if each write had a record of its own: more would wait for room that never comes. */
const FILLED_SHARE = 0.97;
const RECORD_BYTES = 4096 + 96;
const SECONDS_MAX = 600;
const LOADS = [
  { mode: "randwrite", bytes: 4096, depth: 1 },
  { mode: "randwrite", bytes: 4096, depth: 32 },
];

/** @yields a journal's file, which the array is started with again afterwards; `restarted` tells what that took. */
export async function* journalsOfLoads(folder, mebibytes) {
  const client = await LoadClient.compile(folder);
  for (const load of LOADS) {
    const array = await MeasuredArray.make({ VARRAY_JOURNAL_BYTES: `${mebibytes}MiB` });
    try {
      await array.start();
      await array.touched();
      const rules = [{ fault: "noSpace" }];
      await array.api("/api/v1/faults/drives/01", "PUT", { seed: 1, rules });
      const ops = Math.floor((FILLED_SHARE * mebibytes * MiB) / RECORD_BYTES);
      const limit = { spanMebibytes: SPAN_MEBIBYTES, seconds: SECONDS_MAX, ops };
      await client.run(load, { urls: [array.url(0)], ...limit });
      await array.end("SIGKILL");
      const restarted = async () => {
        const milliseconds = await array.start();
        const { text } = await array.api("/api/v1/events");
        const [told] = /\d+ records, \d+ bytes of the journal were replayed in \d+ ms/.exec(text) ?? ["nothing was replayed"];
        return `ready to serve ${milliseconds.toFixed(0)} ms after its start; ${told}`;
      };
      yield { name: `4K random writes, depth ${load.depth}`, path: join(array.folder, "journals", "A"), restarted };
    } finally {
      await array.remove();
    }
  }
}
