/**
 * Read misses beside what the drives give raw, in one run: JSON on stdout, words on stderr.
 *
 *   npm run build && node bench/misses.mjs [--mib 2048] [--reps 3] [--seconds 3] [--data FOLDER]
 *
 *   fill a volume, let it destage ──▶ stop ──▶ each round: raw reads of pool A's own databases, then the array, freshly
 *   started, so that its cache is cold: 4K random reads, and the volume in order
 *
 * Raw: one Node thread, all of the pool's zones open with the product's options. `getMany16`: one call for sixteen strips of
 * one zone, chosen at random, one call at a time. `sequential`: all drives' strips in order, sixteen by a call, one call
 * under way for each drive (better of getMany and iterators). The array is the product in its default configuration.
 * With --data the folder is kept and used again (it is filled when it is not there); --dist names another build, --profile a folder
 * for a CPU profile of each load.
 */
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve as resolvePath } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Level } from "level";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const BATCH = 16;
const BLOCK_BYTES = 4096;
const MIB = 2 ** 20;
const { values } = parseArgs({
  options: {
    mib: { type: "string", default: "2048" },
    reps: { type: "string", default: "3" },
    seconds: { type: "string", default: "3" },
    data: { type: "string" },
    parts: { type: "string", default: "raw,random,depth1,sequential,streams" },
    profile: { type: "string" },
    dist: { type: "string", default: "dist" },
  },
});
const spanMiB = Number(values.mib);
const seconds = Number(values.seconds);
const parts = new Set(values.parts.split(","));
const work = mkdtempSync(join(tmpdir(), "varray-misses-"));
const data = values.data ?? join(work, "data");
const DIST = resolvePath(ROOT, values.dist);
const say = (text) => process.stderr.write(`${text}\n`);

// — raw —

/** The databases of pool A's drives: [drive] → its zones, each with its strips in order. */
async function openZones() {
  const drives = [];
  for (const drive of ["00", "01", "02", "03"]) {
    const folder = join(data, "drives", drive, "zones");
    const zones = [];
    for (const name of readdirSync(folder).sort()) {
      const level = new Level(join(folder, name), {
        ...{ keyEncoding: "view", valueEncoding: "view", compression: false, createIfMissing: false },
        ...{ cacheSize: 16 * 1024, maxOpenFiles: 138, writeBufferSize: MIB },
      });
      await level.open();
      // Strips are numbered without gaps here; looking at all of them would bring them into this process before the clock runs.
      const [last] = await level.keys({ reverse: true, limit: 1 }).all();
      const strips = last === undefined ? 0 : Buffer.from(last).readUInt32BE() + 1;
      if (strips > BATCH) zones.push({ level, keys: Array.from({ length: strips }, (_, strip) => stripKey(strip)) });
    }
    drives.push(zones);
  }
  return drives;
}

function stripKey(strip) {
  const key = Buffer.alloc(4);
  key.writeUInt32BE(strip);
  return key;
}

const pick = (list) => list[Math.floor(Math.random() * list.length)];
const UNCACHED = { fillCache: false };

async function rawRandom(drives, inFlight) {
  let strips = 0;
  const began = performance.now();
  const until = began + seconds * 1000;
  const caller = async () => {
    while (performance.now() < until) {
      const { level, keys } = pick(pick(drives));
      const found = await level.getMany(
        Array.from({ length: BATCH }, () => pick(keys)),
        UNCACHED,
      );
      strips += found.length;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, caller));
  return strips / ((performance.now() - began) / 1000);
}

async function rawSync(drives) {
  let strips = 0;
  const began = performance.now();
  const until = began + seconds * 1000;
  while (performance.now() < until) {
    for (let n = 0; n < 64; n++) {
      const { level, keys } = pick(pick(drives));
      strips += level.getSync(pick(keys), UNCACHED) === undefined ? 0 : 1;
    }
  }
  return strips / ((performance.now() - began) / 1000);
}

async function rawSequential(drives, read) {
  let bytes = 0;
  const began = performance.now();
  const until = began + seconds * 1000;
  await Promise.all(
    drives.map(async (zones) => {
      for (const zone of zones) {
        for await (const taken of read(zone)) {
          bytes += taken;
          if (performance.now() > until) return;
        }
      }
    }),
  );
  return bytes / ((performance.now() - began) / 1000);
}

const sum = (list) => list.reduce((bytes, value) => bytes + value.length, 0);

async function* byGetMany({ level, keys }) {
  for (let at = 0; at < keys.length; at += BATCH) yield sum(await level.getMany(keys.slice(at, at + BATCH), UNCACHED));
}

async function* byIterator({ level }) {
  const iterator = level.values({ fillCache: false, highWaterMarkBytes: MIB });
  for (;;) {
    const found = await iterator.nextv(BATCH);
    if (found.length === 0) break;
    yield sum(found);
  }
  await iterator.close();
}

async function raw() {
  const drives = await openZones();
  const result = {
    getMany16: await rawRandom(drives, 1),
    getMany16x4: await rawRandom(drives, 4),
    getSync: await rawSync(drives),
    sequentialGetMany: await rawSequential(drives, byGetMany),
    sequentialIterator: await rawSequential(drives, byIterator),
  };
  for (const { level } of drives.flat()) await level.close();
  return result;
}

// — the array —

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** The variables that `npm start` sets before Node starts. */
function launchEnvironment() {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
  return Object.fromEntries([...scripts.start.matchAll(/([A-Z_]+)=(\S+)/g)].map(([, name, value]) => [name, value]));
}

class ArrayUnderTest {
  static async start(settings = {}, profile = undefined) {
    const array = new ArrayUnderTest();
    array.apiPort = await freePort();
    array.port = await freePort();
    const flags = profile === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${profile}`];
    array.child = spawn(process.execPath, [...flags, "--max-semi-space-size=1", join(DIST, "directors/main.js")], {
      env: {
        ...process.env,
        ...launchEnvironment(),
        VARRAY_DATA: data,
        VARRAY_LOG_LEVEL: "warn",
        VARRAY_API_PORT: `${array.apiPort}`,
        VARRAY_PORTALS_1A_PORT: `${array.port}`,
        VARRAY_PORTALS_1B_PORT: `${await freePort()}`,
        ...settings,
      },
      stdio: ["ignore", "pipe", "inherit"],
    });
    array.ended = new Promise((resolve) => array.child.once("exit", resolve));
    await new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error("the array did not come up")), 60_000);
      array.child.stdout.on("data", (text) => {
        if (!`${text}`.includes("is ready")) return;
        clearTimeout(late);
        resolve();
      });
      array.child.once("exit", (code) => reject(new Error(`the array ended with status ${code}`)));
    });
    running = array;
    await array.#rest();
    return array;
  }

  /** Until the start's own work is done, which is touching the frames above all: two seconds of one core. */
  async #rest() {
    const used = () => {
      const fields = readFileSync(`/proc/${this.child.pid}/stat`, "utf8").split(" ");
      return Number(fields[13]) + Number(fields[14]);
    };
    for (let looks = 0; looks < 40; looks++) {
      const before = used();
      await new Promise((resolve) => setTimeout(resolve, 250));
      if (used() - before <= 2) return;
    }
  }

  async stop() {
    running = undefined;
    this.child.kill("SIGTERM");
    await this.ended;
  }

  async scrape() {
    const token = readFileSync(join(data, "api-token"), "utf8").trim();
    const answer = await fetch(`http://127.0.0.1:${this.apiPort}/metrics`, { headers: { authorization: `Bearer ${token}` } });
    return answer.text();
  }

  /** The directors and drive threads by the kernel's numbers of them. */
  async threadNames() {
    const text = await this.scrape();
    const found = text.matchAll(/^varray_thread_info\{thread="((?:director|drives) [^"]+)",tid="(\d+)"\}/gm);
    return new Map([...found].map(([, name, tid]) => [Number(tid), name]));
  }

  /** Sum of a metric over its series that carry all of these labels. */
  async metric(name, ...labels) {
    let total = 0;
    for (const line of (await this.scrape()).split("\n")) {
      if (!line.startsWith(`${name}{`) && !line.startsWith(`${name} `)) continue;
      if (labels.every((label) => line.includes(label))) total += Number(line.slice(line.lastIndexOf(" ") + 1));
    }
    return total;
  }

  /** Runs the load client; says what it printed, and how many blocks missed the cache by the second. */
  async load(...options) {
    const blocks = (result) => this.metric("varray_cache_blocks_total", `result="${result}"`);
    const [hitBefore, missedBefore] = [await blocks("hit"), await blocks("miss")];
    const url = `iscsi://127.0.0.1:${this.port}/iqn.2026-11.io.varray:array/0`;
    const client = spawn(join(work, "load"), [...options, "-p", `${this.child.pid}`, url], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let text = "";
    client.stdout.on("data", (more) => {
      text += more;
    });
    if ((await new Promise((resolve) => client.once("exit", resolve))) !== 0) throw new Error("the load client failed");
    const printed = JSON.parse(text);
    const fields = Object.fromEntries(Object.entries(printed).filter(([, value]) => typeof value === "number"));
    const names = await this.threadNames();
    for (const { tid, cpuSeconds } of printed.threads) {
      const key = `${names.get(tid) ?? "others"}, µs`;
      fields[key] = (fields[key] ?? 0) + (cpuSeconds * 1e6) / printed.ops;
    }
    const missed = (await blocks("miss")) - missedBefore;
    const missShare = missed / (missed + (await blocks("hit")) - hitBefore);
    // Of the reads in the measured time; what warms up reads likewise.
    return { ...fields, missShare, missesPerSecond: (missShare * printed.iops * printed.bytes) / BLOCK_BYTES };
  }
}

let running;

async function fill() {
  say(`filling ${spanMiB} MiB`);
  const array = await ArrayUnderTest.start({ VARRAY_DESTAGE_AGE_SECONDS: "1" });
  await array.load("-m", "seqwrite", "-b", `${MIB}`, "-q", "4", "-n", `${spanMiB}`, "-S", `${spanMiB}`);
  while ((await array.metric("varray_write_pending_blocks")) > 0) await new Promise((resolve) => setTimeout(resolve, 500));
  await array.stop();
}

const span = ["-S", `${spanMiB}`];
const timed = ["-t", `${seconds}`, "-w", "0.3"];

/** A fresh start before each: the cache is empty. */
const LOADS = {
  random: ["-m", "randread", "-b", "4096", "-q", "32", ...timed, ...span],
  depth1: ["-m", "randread", "-b", "4096", "-q", "1", ...timed, ...span],
  // The volume is cold, the code is not: half a second of it is read before the clock runs.
  sequential: ["-m", "seqread", "-b", `${256 * 1024}`, "-q", "8", "-t", "1.2", "-w", "0.6", ...span],
  sequential1: ["-m", "seqread", "-b", `${64 * 1024}`, "-q", "1", "-n", `${spanMiB * 4}`, ...span],
  streams: ["-m", "seqread", "-b", `${64 * 1024}`, "-q", "8", "-s", "4", "-n", `${spanMiB * 8}`, ...span],
};

async function round() {
  const result = {};
  if (parts.has("raw")) {
    // In a process of its own: what LevelDB keeps must not stay beside the array.
    result.raw = JSON.parse(
      execFileSync(process.execPath, [fileURLToPath(import.meta.url), ...process.argv.slice(2), "--data", data], {
        env: { ...process.env, ...launchEnvironment(), MISSES_RAW_ONLY: "1" },
        stdio: ["ignore", "pipe", "inherit"],
      }).toString(),
    );
  }
  for (const [name, options] of Object.entries(LOADS)) {
    if (!parts.has(name)) continue;
    const array = await ArrayUnderTest.start({}, values.profile && join(values.profile, name));
    result[name] = await array.load(...options);
    await array.stop();
  }
  return result;
}

const median = (list) => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)];

/** Medians, number by number, of rounds of one shape. */
function medians(rounds) {
  return Object.fromEntries(
    Object.entries(rounds[0]).map(([key, value]) => [
      key,
      typeof value === "object" ? medians(rounds.map((one) => one[key])) : median(rounds.map((one) => one[key])),
    ]),
  );
}

async function main() {
  mkdirSync(data, { recursive: true });
  const sources = ["load.c", "proc-usage.c"].map((name) => join(ROOT, "bench/client", name));
  execFileSync(process.env.CC ?? "cc", ["-O2", "-o", join(work, "load"), ...sources, "-liscsi"]);
  if (!existsSync(join(data, "drives"))) await fill();
  const rounds = [];
  for (let n = 0; n < Number(values.reps); n++) {
    rounds.push(await round());
    say(JSON.stringify(rounds.at(-1), (_, value) => (typeof value === "number" ? Math.round(value * 10) / 10 : value)));
  }
  const middle = medians(rounds);
  const { raw: rates, random, sequential } = middle;
  const goals = {};
  if (rates !== undefined && random !== undefined) goals.randomMissesOfGetMany16 = random.missesPerSecond / rates.getMany16;
  if (rates !== undefined && sequential !== undefined) {
    // The drives' bytes are data and tags.
    const dataShare = (8 * BLOCK_BYTES) / (8 * BLOCK_BYTES + 8 * 32 + 64);
    const best = Math.max(rates.sequentialGetMany, rates.sequentialIterator);
    goals.sequentialOfRaw = sequential.bytesPerSecond / (best * dataShare);
  }
  process.stdout.write(`${JSON.stringify({ goals, medians: middle, rounds }, null, 1)}\n`);
}

try {
  if (process.env.MISSES_RAW_ONLY === "1") process.stdout.write(JSON.stringify(await raw()));
  else await main();
} finally {
  await running?.stop();
  rmSync(work, { recursive: true, force: true });
}
