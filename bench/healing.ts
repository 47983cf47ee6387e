/**
 * Rebuild, copy-back and scrub: how fast they are while hosts are quiet and while they are not, beside what copying the same
 * kind of LevelDB drives takes at best in the same run (raw/zone-copy.ts), and what hosts see of them. By itself, because it
 * takes drives away from its array:
 *
 *   npm run build && npx tsc -p tsconfig.bench.json && node dist/bench/healing.js [--span 768] [--share 30] [--data FOLDER] [--out FILE]
 */
import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { ArrayUnderTest } from "./array-under-test.ts";
import { LoadClient, type LoadResult, type LoadSpec } from "./load-client.ts";
import { describeCommit, describeMachine, machineLine } from "./machine.ts";
import { parseSeries, type Scrape } from "./prometheus-text.ts";
import { rawZoneCopy } from "./raw/run-raw.ts";
import { temporaryFolder } from "./started.ts";

const FILL: LoadSpec = { mode: "seqwrite", bytes: 1 << 20, depth: 4 };
const HOST: LoadSpec = { mode: "randmix30", bytes: 4096, depth: 8 };
const HOST_SPAN_MEBIBYTES = 64;
const HOST_SECONDS = 5;
const WAIT_MILLISECONDS_MAX = 60_000;

const { values } = parseArgs({
  options: {
    span: { type: "string", default: "768" },
    share: { type: "string", default: "30" },
    data: { type: "string", default: tmpdir() },
    out: { type: "string" },
  },
});
const say = (line: string) => process.stdout.write(`${line}\n`);

interface PoolSeen {
  readonly rebuild?: object;
  readonly scrub: { readonly state: string; readonly last?: { readonly bytesRead: number } };
  readonly drives: readonly { readonly name: string; readonly state: string }[];
}

interface Event {
  readonly type: string;
  readonly time: string;
}

const client = await LoadClient.compile(temporaryFolder(values.data));
const raw = await rawZoneCopy(values.data, Math.ceil(Number(values.span) / 3));
const array = await ArrayUnderTest.start(values.data, {
  VARRAY_HEALING_MISSING_SECONDS: "0",
  VARRAY_HEALING_REBUILD_SHARE_PERCENT: values.share,
  VARRAY_HEALING_SCRUB_SHARE_PERCENT: values.share,
});
const host = (spec: LoadSpec, spanMebibytes: number, limit: { seconds: number; ops?: number }): Promise<LoadResult> =>
  client.run(spec, { urls: [array.url(0)], spanMebibytes, ...limit });
await host(FILL, Number(values.span), { seconds: HOST_SECONDS, ops: Number(values.span) });
await array.makeClean();
await array.whenQuiet();

const scrubbedBytes = (scrape: Scrape) => counted(scrape, "varray_scrubbed_bytes_total");
const scrubIsIdle = async () => (await pool()).scrub.state === "idle";

const quietScrub = await scrub();
await array.api("POST", "/api/v1/drives/01/pull");
const quietRebuild = await rebuilt("08", async () => undefined);
const quietHost = await host(HOST, HOST_SPAN_MEBIBYTES, { seconds: HOST_SECONDS });
await array.makeClean();
await array.whenQuiet();
const besideScrub = await scrubsBeside(host(HOST, HOST_SPAN_MEBIBYTES, { seconds: HOST_SECONDS }));
await array.makeClean();
await array.whenQuiet();
await array.api("POST", "/api/v1/drives/01/replace");
const besideCopyBack = await rebuilt("01", () => host(HOST, HOST_SPAN_MEBIBYTES, { seconds: HOST_SECONDS }));
await array.stop();

const rows = [
  row("raw copy of a drive to another", raw.copyBytesPerSecond, 1),
  row("raw read of four drives", raw.readBytesPerSecond, 1),
  row("rebuild, hosts quiet", quietRebuild.bytesPerSecond, raw.copyBytesPerSecond),
  row("scrub, hosts quiet", quietScrub.bytesPerSecond, raw.readBytesPerSecond),
  row(
    `copy-back beside hosts, share ${values.share} %`,
    besideCopyBack.bytesPerSecond,
    raw.copyBytesPerSecond,
    besideCopyBack.host,
  ),
  row(`scrub beside hosts, share ${values.share} %`, besideScrub.bytesPerSecond, raw.readBytesPerSecond, besideScrub.host),
  row("hosts alone", 0, 1, quietHost),
];
say(`varray ${describeCommit().id} on ${machineLine(describeMachine(values.data))}`);
for (const line of rows) say(JSON.stringify(line));
if (values.out !== undefined) writeFileSync(values.out, `${JSON.stringify(rows, undefined, 1)}\n`);
process.exit(0);

function row(name: string, bytesPerSecond: number, of: number, seen?: LoadResult) {
  return {
    name,
    mebibytesPerSecond: Math.round(bytesPerSecond / 2 ** 20),
    ...(of > 1 && bytesPerSecond > 0
      ? {
          share: Number((bytesPerSecond / of).toFixed(2)),
          ofTheRawCopy: Number((bytesPerSecond / raw.copyBytesPerSecond).toFixed(2)),
        }
      : {}),
    ...(seen === undefined
      ? {}
      : {
          hostIops: Math.round(seen.iops),
          p50Microseconds: seen.p50Microseconds,
          p99Microseconds: seen.p99Microseconds,
          p999Microseconds: seen.p999Microseconds,
          maxMicroseconds: seen.maxMicroseconds,
        }),
  };
}

async function scrub() {
  await array.api("POST", "/api/v1/pools/A/scrub", { action: "start" });
  return measured(scrubbedBytes, async () => undefined, scrubIsIdle);
}

/** One scrub after the other, until the host ends. */
async function scrubsBeside(host: Promise<LoadResult>) {
  const ended = { yet: false };
  const seen = host.finally(() => {
    ended.yet = true;
  });
  const isOver = async (): Promise<boolean> => {
    if (!ended.yet && (await scrubIsIdle())) await array.api("POST", "/api/v1/pools/A/scrub", { action: "start" });
    return ended.yet;
  };
  const result = await measured(scrubbedBytes, () => seen, isOver);
  await until(scrubIsIdle);
  return result;
}

async function rebuilt<Beside extends LoadResult | undefined>(drive: string, beside: () => Promise<Beside>) {
  const sum = (scrape: Scrape) => counted(scrape, "varray_rebuilt_bytes_total");
  await until(async () => (await events()).at(-1)?.type === "rebuild.started" || (await pool()).rebuild !== undefined);
  const is = async () => (await pool()).drives.some(({ name, state }) => name === drive && state === "online");
  return measured(sum, beside, is);
}

/** Bytes a second until the work is done, or `beside` is. What is left is done before the next. */
async function measured<Beside extends LoadResult | undefined>(
  sum: (scrape: Scrape) => number,
  beside: () => Promise<Beside>,
  isDone: () => Promise<boolean>,
) {
  const before = sum(await array.scrape());
  const began = performance.now();
  const host = beside();
  const done = until(isDone);
  const seen = await Promise.race([host, done.then(() => undefined)]);
  if (seen === undefined) await done;
  const seconds = (performance.now() - began) / 1000;
  const bytesPerSecond = (sum(await array.scrape()) - before) / seconds;
  await Promise.all([host, done]);
  return { bytesPerSecond, seconds, ...(seen === undefined ? {} : { host: seen }) };
}

function counted(scrape: Scrape, metric: string): number {
  let total = 0;
  for (const [text, value] of scrape) if (parseSeries(text).name === metric) total += value;
  return total;
}

async function pool(): Promise<PoolSeen> {
  return (await array.api("GET", "/api/v1/pools/A")) as PoolSeen;
}

async function events(): Promise<readonly Event[]> {
  const { events: found } = (await array.api("GET", "/api/v1/events?limit=5")) as { events: readonly Event[] };
  return found;
}

async function until(is: () => Promise<boolean>): Promise<void> {
  for (const deadline = performance.now() + WAIT_MILLISECONDS_MAX; !(await is()); await sleep(20)) {
    if (performance.now() > deadline) throw new Error("it is not done within a minute");
  }
}
