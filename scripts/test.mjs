/**
 * `npm test`: sets up what is missing (packages, build, on Debian as root the real initiators), checks style and types,
 * runs vitest, and ends in one line "N passed, N failed". Arguments go on to vitest: with any, only vitest runs.
 */
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureBuilt, ensureInstalled, ROOT, requireNode, run } from "./setup.mjs";

/** Programs that the suites with real initiators need, and the Debian packages that bring them. */
const TOOLS = [
  { program: "iscsi-ls", packages: ["libiscsi-bin"] },
  // qemu-utils alone can't open iscsi:// URLs.
  { program: "qemu-img", packages: ["qemu-utils", "qemu-block-extra"] },
  { program: "tshark", packages: ["tshark"] },
  { program: "mkfs.ext4", packages: ["e2fsprogs"] },
  { program: "strace", packages: ["strace"] },
];
const BIN = join(ROOT, "node_modules", ".bin");
const CHECKS = [
  { name: "biome (format, lint, import directions)", program: "biome", args: ["check", ".", "--diagnostic-level=error"] },
  { name: "oxlint (promises)", program: "oxlint", args: ["--quiet"] },
  { name: "tsc (types, tests included)", program: "tsc", args: ["-p", "tsconfig.test.json"] },
];

requireNode();
ensureInstalled();
ensureBuilt();
// Before any suite starts an array: it writes to dist/, too.
if (run(join(BIN, "tsc"), ["-p", "tsconfig.simulation.json"]) === 0) process.env.VARRAY_SIMULATION_BUILT = "1";

const vitestArguments = process.argv.slice(2);
const skipped = ensureTools();
const checks = vitestArguments.length === 0 ? await Promise.all(CHECKS.map(check)) : [];
const failedChecks = checks.filter(({ isPassed }) => !isPassed);
const passedChecks = checks.length - failedChecks.length;
const vitest = runVitest(vitestArguments);

for (const line of skipped) process.stdout.write(`${line}\n`);
for (const { name } of failedChecks) process.stdout.write(`check failed: ${name}\n`);
const failed = vitest.failed + failedChecks.length;
process.stdout.write(`${vitest.passed + passedChecks} passed, ${failed} failed\n`);
process.exitCode = failed === 0 ? 0 : 1;

/** Side by side: what each says is shown in one piece. */
async function check({ name, program, args }) {
  const child = spawn(join(BIN, program), args, { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (said += chunk.toString()));
  const status = await new Promise((resolve) => {
    child.on("error", (error) => resolve(error.message));
    child.on("close", resolve);
  });
  process.stdout.write(`check: ${name}\n${said}`);
  return { name, isPassed: status === 0 };
}

/** Counts tests, and files or errors outside tests as one failure each; a run that says nothing is a failure. */
function runVitest(args) {
  const folder = mkdtempSync(join(tmpdir(), "varray-test-"));
  const report = join(folder, "report.json");
  try {
    const status = run(join(BIN, "vitest"), [
      "run",
      "--reporter=default",
      "--reporter=json",
      `--outputFile.json=${report}`,
      ...args,
    ]);
    return countTests(report, status);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function countTests(report, status) {
  let result;
  try {
    result = JSON.parse(readFileSync(report, "utf8"));
  } catch {
    process.stdout.write("vitest left no report\n");
    return { passed: 0, failed: 1 };
  }
  const brokenFiles = result.testResults.filter(
    ({ status, assertionResults }) => status === "failed" && !assertionResults.some((test) => test.status === "failed"),
  ).length;
  const failed = result.numFailedTests + brokenFiles;
  if (result.numPendingTests > 0) process.stdout.write(`${result.numPendingTests} tests skipped\n`);
  return { passed: result.numPassedTests, failed: failed === 0 && status !== 0 ? 1 : failed };
}

/** Installs missing tools where it may; returns a line for each that stays missing. */
function ensureTools() {
  let missing = TOOLS.filter(({ program }) => !isOnPath(program));
  if (missing.length > 0 && process.getuid?.() === 0 && isDebian()) {
    const packages = missing.flatMap((tool) => tool.packages);
    process.stdout.write(`Installing Debian packages for the tests: ${packages.join(" ")}\n`);
    const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
    run("apt-get", ["update", "-qq"], { env });
    run("apt-get", ["install", "-y", "-qq", "--no-install-recommends", ...packages], { env });
    missing = TOOLS.filter(({ program }) => !isOnPath(program));
  }
  return missing.map(
    ({ program, packages }) => `skipped: the suites that need ${program} (Debian packages: ${packages.join(" ")})`,
  );
}

function isOnPath(program) {
  const PATH = `${process.env.PATH}:/usr/sbin:/sbin`;
  return spawnSync("sh", ["-c", `command -v ${program}`], { env: { ...process.env, PATH }, stdio: "ignore" }).status === 0;
}

function isDebian() {
  try {
    return /^ID(_LIKE)?=.*debian/m.test(readFileSync("/etc/os-release", "utf8"));
  } catch {
    return false;
  }
}
