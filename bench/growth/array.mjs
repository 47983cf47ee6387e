/** An array of its own for a measurement: started as `npm start` does, on free ports, looked at from outside. */
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../..", import.meta.url));
export const DIST = process.env.GROWTH_DIST ?? join(ROOT, "dist");
const TOKEN = "growth-token-0123456789";
const TARGET = "iqn.2026-11.io.varray:array";
const READY_MILLISECONDS_MAX = 120_000;
const CLOCK_TICKS = 100;

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

async function freePorts(count) {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
      return server;
    }),
  );
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** The variables that `npm start` sets before Node starts. */
function launchEnvironment() {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
  return Object.fromEntries([...scripts.start.matchAll(/([A-Z_]+)=(\S+)/g)].map(([, name, value]) => [name, value]));
}

export class MeasuredArray {
  static async make(env = {}) {
    const array = new MeasuredArray();
    array.folder = mkdtempSync(join(tmpdir(), "varray-growth-"));
    [array.apiPort, ...array.ports] = await freePorts(3);
    array.env = {
      VARRAY_DATA: array.folder,
      VARRAY_LOG_LEVEL: "error",
      VARRAY_API_PORT: `${array.apiPort}`,
      VARRAY_API_TOKEN: TOKEN,
      VARRAY_API_REQUESTS_PER_SECOND_MAX: "100000",
      VARRAY_ISCSI_SESSIONS_PER_DIRECTOR_MAX: "512",
      VARRAY_ISCSI_CONNECTIONS_PER_ADDRESS_MAX: "512",
      VARRAY_PORTALS_1A_PORT: `${array.ports[0]}`,
      VARRAY_PORTALS_1B_PORT: `${array.ports[1]}`,
      ...env,
    };
    return array;
  }

  get pid() {
    return this.process.pid;
  }

  url(lun, portal = 0) {
    return `iscsi://127.0.0.1:${this.ports[portal]}/${TARGET}/${lun}`;
  }

  /** Resolves to the milliseconds from the start of the process until it serves: portals are open then. */
  async start() {
    const began = performance.now();
    const main = join(DIST, "directors/main.js");
    this.process = spawn(process.execPath, ["--max-semi-space-size=1", main], {
      env: { ...process.env, ...launchEnvironment(), ...this.env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.ended = new Promise((resolve) => this.process.once("exit", resolve));
    let log = "";
    this.process.stderr.on("data", (text) => {
      log = (log + text).slice(-100_000);
    });
    await new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`the array did not come up:\n${log}`)), READY_MILLISECONDS_MAX);
      this.process.stdout.on("data", (text) => {
        if (!/ready/.test(`${text}`)) return;
        clearTimeout(late);
        resolve();
      });
      this.process.once("exit", (code) => reject(new Error(`the array ended with status ${code}:\n${log}`)));
    });
    return performance.now() - began;
  }

  async end(signal) {
    this.process?.kill(signal);
    await this.ended;
  }

  async remove() {
    if (this.process !== undefined) await this.end("SIGKILL");
    rmSync(this.folder, { recursive: true, force: true });
  }

  async api(path, method = "GET", body = undefined) {
    const began = performance.now();
    const response = await fetch(`http://127.0.0.1:${this.apiPort}${path}`, {
      method,
      headers: { authorization: `Bearer ${TOKEN}`, ...(body === undefined ? {} : { "content-type": "application/json" }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    const milliseconds = performance.now() - began;
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return { text, milliseconds };
  }

  /** Median time, and size, of an answer. */
  async apiTimes(path, times = 7) {
    const answers = [];
    for (let n = 0; n < times; n++) answers.push(await this.api(path));
    return { milliseconds: median(answers.map(({ milliseconds }) => milliseconds)), bytes: answers[0].text.length };
  }

  /** RssAnon + RssShmem. */
  memoryMebibytes() {
    const status = readFileSync(`/proc/${this.pid}/status`, "utf8");
    const of = (name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)[1]);
    return (of("RssAnon") + of("RssShmem")) / 1024;
  }

  cpuSeconds() {
    const fields = readFileSync(`/proc/${this.pid}/stat`, "utf8")
      .replace(/^.*\) /, "")
      .split(" ");
    return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS;
  }

  /** First touch of memory, in the background, is over. */
  async touched() {
    for (;;) {
      const { text } = await this.api("/metrics");
      const sum = (name) =>
        [...text.matchAll(new RegExp(`^${name}\\{.*\\} (\\d+)`, "gm"))].reduce((total, [, value]) => total + Number(value), 0);
      if (sum("varray_memory_touched_bytes") >= sum("varray_memory_to_touch_bytes")) return;
      await pause(200);
    }
  }

  /** Share of one core that a resting array takes. */
  async idleCpu(seconds = 3) {
    await pause(1200);
    const before = this.cpuSeconds();
    await pause(seconds * 1000);
    return (this.cpuSeconds() - before) / seconds;
  }
}

/** The client of sessions.c, compiled. */
export function sessionsClient() {
  const program = join(tmpdir(), `varray-growth-sessions-${process.pid}`);
  const run = spawnSync("cc", ["-O2", join(ROOT, "bench/growth/sessions.c"), "-liscsi", "-o", program], { stdio: "inherit" });
  if (run.status !== 0) throw new Error("bench/growth/sessions.c can't be compiled: it needs a C compiler and libiscsi-dev");
  return program;
}

/** Runs the client; `look` is called while its sessions are there. */
export async function runSessions(program, array, options, look = async () => ({})) {
  const { sessions, depth = 32, seconds = 0, luns = 1, firstLun = 0, idle = 2 } = options;
  const numbers = [sessions, depth, seconds, luns].map(String);
  const child = spawn(program, [...numbers, `${array.pid}`, `${idle}`, ...(options.urls ?? [array.url(firstLun)])], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const line = await new Promise((resolve, reject) => {
    child.stdout.once("data", (text) => resolve(`${text}`));
    child.once("exit", (status) => reject(new Error(`the client ended with status ${status}`)));
  });
  const seen = await look();
  child.stdin.end();
  await ended;
  return { ...JSON.parse(line), ...seen };
}
