/** Compiles drivers/shared-memory/kernels/kernels.as.ts to dist/drivers/shared-memory/kernels.wasm. Part of `npm run build`. */
import { mkdirSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import asc from "assemblyscript/asc";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const folder = join("dist", "drivers", "shared-memory");
const target = join(folder, "kernels.wasm");
// Written beside its place and renamed, so that a running test never loads half a file.
const fresh = `${target}.${process.pid}`;

mkdirSync(join(root, folder), { recursive: true });
const { error, stderr } = await asc.main([
  "drivers/shared-memory/kernels/kernels.as.ts",
  ...["--baseDir", root, "--outFile", fresh],
  // Global memory is handed in by main: one page at least, 4 GiB at most.
  ...["--importMemory", "--sharedMemory", "--initialMemory", "16", "--maximumMemory", "65536"],
  ...["--runtime", "stub", "--enable", "simd,threads,bulk-memory", "-O3", "--noAssert"],
]);
if (error !== null) {
  rmSync(join(root, fresh), { force: true });
  process.stderr.write(stderr.toString());
  throw new Error("the kernels did not compile", { cause: error });
}
renameSync(join(root, fresh), join(root, target));
