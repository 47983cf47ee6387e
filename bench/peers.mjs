/**
 * `npm run bench`: the built array beside tgt, stock and tuned, in one run (bench/peer-bench.sh; its options are passed on).
 *
 * Starts an array of its own, in a temporary folder and on free ports, as `npm start` does. Needs root (for tgtd), the
 * Debian packages tgt and libiscsi-dev, and a C compiler. About five minutes as it is called without options.
 */
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const READY_MILLISECONDS_MAX = 60_000;
const OPTIONS = ["--reps", "3", "--secs", "1.5", "--span", "256"];

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** The variables that `npm start` sets before Node starts: the benchmark must run as the product does. */
function launchEnvironment() {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
  return Object.fromEntries([...scripts.start.matchAll(/([A-Z_]+)=(\S+)/g)].map(([, name, value]) => [name, value]));
}

const folder = mkdtempSync(join(tmpdir(), "varray-bench-"));
const [apiPort, portA, portB] = [await freePort(), await freePort(), await freePort()];
const array = spawn(process.execPath, ["--max-semi-space-size=1", join(ROOT, "dist/directors/main.js")], {
  env: {
    ...process.env,
    ...launchEnvironment(),
    VARRAY_DATA: folder,
    VARRAY_LOG_LEVEL: "warn",
    VARRAY_API_PORT: `${apiPort}`,
    VARRAY_PORTALS_1A_PORT: `${portA}`,
    VARRAY_PORTALS_1B_PORT: `${portB}`,
  },
  stdio: ["ignore", "pipe", "inherit"],
});
const ended = new Promise((resolve) => array.once("exit", resolve));
let status = 1;
try {
  await new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error("the array did not come up")), READY_MILLISECONDS_MAX);
    array.stdout.on("data", (text) => {
      if (!`${text}`.includes("is ready")) return;
      clearTimeout(late);
      resolve();
    });
    array.once("exit", (code) => reject(new Error(`the array ended with status ${code}`)));
  });
  const url = (port) => `iscsi://127.0.0.1:${port}/iqn.2026-11.io.varray:array/0`;
  const own = ["--url", url(portA), "--url2", url(portB), "--pid", `${array.pid}`];
  const run = spawnSync("bash", [join(ROOT, "bench/peer-bench.sh"), ...own, ...OPTIONS, ...process.argv.slice(2)], {
    stdio: "inherit",
  });
  status = run.status ?? 1;
} finally {
  array.kill("SIGTERM");
  await ended;
  rmSync(folder, { recursive: true, force: true });
}
process.exit(status);
