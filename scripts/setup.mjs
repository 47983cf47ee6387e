/**
 * Brings a clone to where it can run: packages installed, everything built. Says what it does, does only what is needed.
 *
 * Runs on: Node alone (no package is imported here, there may be none yet).
 */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("..", import.meta.url));

const NODE_LEAST = [20, 19];
const SOURCE_FOLDERS = ["src", "directors", "drivers", "scripts"];
const SOURCE_FILES = ["package.json", "tsconfig.json"];
/** Written last by the build, so that one that failed or was cut off is done again. */
const BUILD_STAMP = join(ROOT, "dist", ".built");

/** Ends the process with a message when this Node is too old to run the array. */
export function requireNode() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major > NODE_LEAST[0] || (major === NODE_LEAST[0] && minor >= NODE_LEAST[1])) return;
  process.stderr.write(`varray needs Node ${NODE_LEAST.join(".")} or newer; this is ${process.versions.node}.\n`);
  process.exit(1);
}

/** Runs a program with its output on ours; returns its exit status (1 when a signal ended it). */
export function run(program, args, options = {}) {
  const result = spawnSync(program, args, { cwd: ROOT, stdio: ["ignore", "inherit", "inherit"], ...options });
  if (result.error !== undefined) process.stderr.write(`${program}: ${result.error.message}\n`);
  return result.status ?? 1;
}

/** `npm ci` when there are no packages, or when they are older than the lock file. */
export function ensureInstalled() {
  const installed = modifiedAt(join(ROOT, "node_modules", ".package-lock.json"));
  if (installed >= modifiedAt(join(ROOT, "package-lock.json")) && installed > 0) return;
  process.stdout.write(
    installed === 0 ? "Installing packages (npm ci) …\n" : "package-lock.json is newer than node_modules: npm ci …\n",
  );
  mustSucceed("npm ci", runNpm(["ci", "--include=dev", "--no-audit", "--no-fund"]));
}

/** Builds when a source is newer than the last build that succeeded. */
export function ensureBuilt() {
  const built = modifiedAt(BUILD_STAMP);
  if (built > newestSource()) return;
  process.stdout.write(built === 0 ? "Building (npm run build) …\n" : "Sources are newer than dist: building …\n");
  mustSucceed("npm run build", runNpm(["run", "--silent", "build"]));
}

/** Step of `npm run build`: notes that it succeeded. */
export function stampBuild() {
  writeFileSync(BUILD_STAMP, "");
}

/** Step of `npm run build`: until it succeeds, there is no build. */
export function unstampBuild() {
  rmSync(BUILD_STAMP, { force: true });
}

function runNpm(args) {
  // The npm that runs us, if one does; it is a script when npm_execpath says so.
  const npm = process.env.npm_execpath;
  if (npm?.endsWith(".js") && existsSync(npm)) return run(process.execPath, [npm, ...args]);
  return run(process.platform === "win32" ? "npm.cmd" : "npm", args);
}

function mustSucceed(what, status) {
  if (status === 0) return;
  process.stderr.write(`${what} failed with status ${status}.\n`);
  process.exit(1);
}

function newestSource() {
  let newest = 0;
  for (const file of SOURCE_FILES) newest = Math.max(newest, modifiedAt(join(ROOT, file)));
  for (const folder of SOURCE_FOLDERS) {
    for (const entry of readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })) {
      if (entry.isFile() && /\.(ts|mjs)$/.test(entry.name))
        newest = Math.max(newest, modifiedAt(join(entry.parentPath ?? entry.path, entry.name)));
    }
  }
  return newest;
}

function modifiedAt(path) {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}
