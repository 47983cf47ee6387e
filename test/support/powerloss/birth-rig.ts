/**
 * Power loss while an array is made: its first start below strace, from an empty folder to ready; and images of it, each
 * of which must start as if nothing had been, or as the array that was made.
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startArray } from "../array.ts";
import { PipelinedSession } from "../pipelined-session.ts";
import { Random } from "../random.ts";
import { CrashFiles } from "./crash-files.ts";
import { drawPolicy, writeImage } from "./crash-image.ts";
import { type FileEvent, readSystemCalls } from "./system-calls.ts";
import { startTraced } from "./traced-array.ts";

const FAST_FOLDER = "/dev/shm";
/** As small as the configuration allows. */
const CONFIGURATION = `pools:
  A: { owner: 1A, dataDrives: 2, drives: ["00", "01", "02"] }
drive: { capacity: 64MiB, zone: 4MiB }
journal: { bytes: 4MiB }
memory: { frames: 64MiB }
initialVolumes:
  0: { name: volume-0, pool: A, size: 8MiB }
`;

export interface BirthFinding {
  readonly event: number;
  readonly policy: string;
  readonly detail: string;
}

/** @returns the images that did not start, and how many there were */
export async function birthImages(options: {
  readonly seed: number;
  readonly images: number;
  readonly keep?: boolean;
  readonly dist?: string;
}): Promise<{ readonly findings: readonly BirthFinding[]; readonly events: number }> {
  const folder = mkdtempSync(join(existsSync(FAST_FOLDER) ? FAST_FOLDER : tmpdir(), "varray-birth-"));
  const data = join(folder, "data");
  const configuration = join(folder, "varray.yaml");
  const env = { VARRAY_CONFIG: configuration };
  const random = new Random(options.seed);
  const findings: BirthFinding[] = [];
  try {
    mkdirSync(data);
    writeFileSync(configuration, CONFIGURATION);
    const trace = join(folder, "trace");
    const { dist } = options;
    const traced = await startTraced({ folder: data, trace, env, ...(dist === undefined ? {} : { dist }) });
    await traced.array.kill9();
    await traced.end();
    const events: FileEvent[] = [];
    await readSystemCalls(trace, data, (event) => events.push(event));
    const points = Array.from({ length: options.images }, () => random.between(0, events.length - 1)).sort((a, b) => a - b);
    const files = new CrashFiles();
    const image = join(folder, "image");
    let made = 0;
    for (let event = 0; event < events.length; event++) {
      for (; points[made] === event; made++) {
        const policy = drawPolicy(random);
        rmSync(image, { recursive: true, force: true });
        writeImage(files, image, random, policy);
        const detail = await whyNotStarted(image, env);
        if (detail !== undefined) findings.push({ event, policy: policy.name, detail });
      }
      files.apply(events[event]!);
    }
    return { findings, events: events.length };
  } finally {
    if (options.keep !== true || findings.length === 0) rmSync(folder, { recursive: true, force: true });
  }
}

async function whyNotStarted(image: string, env: Readonly<Record<string, string>>): Promise<string | undefined> {
  try {
    const array = await startArray({ dataFolder: image, env });
    try {
      const { state, reason } = await array.pool("A");
      if (state !== "optimal") return `pool A is ${state}: ${reason}`;
      const { targetName } = array;
      const session = await PipelinedSession.open({ port: array.portalPorts[0]!, targetName });
      await session.testUnitReady(0);
      session.close();
      return undefined;
    } finally {
      await array.kill9();
    }
  } catch (error) {
    return (error as Error).message;
  }
}
