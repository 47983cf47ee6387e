/**
 * `npm run simulate:mutations -- [--only TEXT] [--jobs 2]`: plants each bug of mutations.ts in a copy of the build, runs seeds
 * from 1 on until one finds it, and prints the rows of the table in docs/testing.md. Fails for a bug that is not found within
 * its number of seeds.
 */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { makeMutant } from "../support/mutant.ts";
import { MUTATIONS, type Mutation } from "./mutations.ts";

const { values } = parseArgs({ options: { only: { type: "string", default: "" }, jobs: { type: "string", default: "2" } } });
const DIST = fileURLToPath(new URL("../..", import.meta.url));

interface Found {
  readonly mutation: Mutation;
  readonly seed: number | undefined;
  readonly how: string;
}

async function hunt(mutation: Mutation): Promise<Found> {
  const mutant = makeMutant(mutation.patches, DIST);
  try {
    const output = await new Promise<string>((resolve) => {
      const main = join(mutant.dist, "test/simulation/main.js");
      const seeds = ["--seed", "1", "--seeds", String(mutation.seedsMax), "--jobs", "1"];
      seeds.push("--swarm", (mutation.swarm ?? []).join(","));
      if (mutation.mirrored === true) seeds.push("--mirrored");
      if (mutation.healing === true) seeds.push("--healing");
      const child = spawn(process.execPath, [main, ...seeds], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      let text = "";
      child.stdout.on("data", (chunk: Buffer) => {
        text += chunk.toString();
      });
      child.on("close", () => resolve(text));
    });
    const found = /^seed (\d+): (?!the last steps)(.*)$/m.exec(output);
    return { mutation, seed: found === null ? undefined : Number(found[1]), how: found?.[2] ?? "not found" };
  } finally {
    mutant.remove();
  }
}

const wanted = MUTATIONS.filter(({ name }) => name.includes(values.only));
const results: Found[] = [];
async function job(): Promise<void> {
  for (let mutation = wanted.shift(); mutation !== undefined; mutation = wanted.shift()) {
    const found = await hunt(mutation);
    results.push(found);
    process.stdout.write(`${rowOf(found)}\n`);
  }
}

function rowOf({ mutation, seed, how }: Found): string {
  const { name, seedsMax, swarm = [] } = mutation;
  const found = `${seed ?? "not"} of ${seedsMax}${swarm.length === 0 ? "" : `, ${swarm.join(", ")}`}`;
  return `| ${name} | ${found} | ${shortened(how)} |`;
}

function shortened(how: string): string {
  const line = how.replaceAll("|", "/");
  return line.length > 80 ? `${line.slice(0, 80)} …` : line;
}

process.stdout.write("| planted bug | found by seed | as |\n|---|---|---|\n");
await Promise.all(Array.from({ length: Number(values.jobs) }, job));
const missed = results.filter(({ seed }) => seed === undefined);
process.stdout.write(`\n${results.length - missed.length} of ${results.length} found\n`);
process.exitCode = missed.length === 0 ? 0 : 1;
