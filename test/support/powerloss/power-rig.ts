/**
 * The power-loss test: an array under load below strace; from what it did to its files, images of what its drives may hold
 * had the power failed at any moment; and the question whether each opens and has what hosts were told is durable.
 *
 *   life: array on a folder, load, end (SIGTERM or SIGKILL) ─▶ trace ─▶ images, each opened and read
 *         └▶ the next life starts from one of them, so that a power loss also comes after a power loss
 *
 * It says what it found and asserts nothing: the suite wants no findings of the product, and some of its mutants.
 */
import { cpSync, existsSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { SECTOR_BYTES } from "../crash/sector-stamp.ts";
import { PipelinedSession } from "../pipelined-session.ts";
import { Random } from "../random.ts";
import { CrashFiles } from "./crash-files.ts";
import { drawPolicy, type ImagePolicy, writeImage } from "./crash-image.ts";
import { DurableHistory, type DurableReplay, type PowerLossFinding } from "./durable-history.ts";
import { DurableLoad } from "./durable-load.ts";
import { IMAGE_ARRAY, makeDataFolder, writeConfiguration } from "./image-array.ts";
import { readThroughArray } from "./open-array.ts";
import { readImage } from "./open-image.ts";
import { type FileEvent, readSystemCalls } from "./system-calls.ts";
import { startTraced } from "./traced-array.ts";

const WORKERS_PER_SESSION = 6;
const FINDINGS_MAX = 5;
/** Of the images, so many are opened without one of their drives, so that parity has to agree; or as a whole array. */
const DEGRADED_SHARE = 0.2;
const WHOLE_ARRAY_SHARE = 0.03;
/** Of the images, so many are at a sync's end, right before and right after it took effect; the others anywhere. */
const EDGE_SHARE = 0.75;
const STOP_SHARE = 0.3;
/** Images are written and read again at once: in memory, where there is such a folder. */
const FAST_FOLDER = "/dev/shm";

export interface PowerLossOptions {
  readonly seed: number;
  readonly dist?: string;
  readonly loadMilliseconds: number;
}

interface ImageReport {
  readonly life: number;
  readonly image: number;
  /** Of the trace's events. */
  readonly event: number;
  readonly policy: ImagePolicy["name"];
  readonly opened: Opening;
  readonly findings: readonly PowerLossFinding[];
}

/** By the storage code in this thread, with all drives or without one; or by a whole array, over iSCSI. */
type Opening = "pool" | "degraded" | "array";

export interface LifeReport {
  readonly life: number;
  readonly events: number;
  readonly syncs: number;
  /** On all drives together. */
  readonly zonesMade: number;
  readonly zonesRemoved: number;
  readonly writes: number;
  readonly promises: number;
  readonly images: number;
  readonly edges: number;
  /** Images in which something could be lost at all. */
  readonly uncertain: number;
  readonly openings: Readonly<Record<Opening, number>>;
  readonly milliseconds: number;
  readonly findings: readonly ImageReport[];
}

export class PowerRig {
  readonly #options: PowerLossOptions;
  readonly #random: Random;
  readonly #folder: string;
  readonly #history: DurableHistory;
  #life = 0;

  private constructor(options: PowerLossOptions, folder: string) {
    this.#options = options;
    this.#random = new Random(options.seed);
    this.#folder = folder;
    this.#history = new DurableHistory({ sectors: IMAGE_ARRAY.volumeBytes / SECTOR_BYTES, seed: options.seed });
  }

  static async start(options: PowerLossOptions): Promise<PowerRig> {
    const folder = mkdtempSync(join(existsSync(FAST_FOLDER) ? FAST_FOLDER : tmpdir(), "varray-powerloss-"));
    const rig = new PowerRig(options, folder);
    await makeDataFolder(join(folder, "data"));
    return rig;
  }

  get #data(): string {
    return join(this.#folder, "data");
  }

  get #trace(): string {
    return join(this.#folder, "trace");
  }

  /** One run of the array and the images of it. */
  async life(images: number, isEnough: (found: ImageReport) => boolean = () => false): Promise<LifeReport> {
    this.#life += 1;
    const startedAt = performance.now();
    // What the array changes is in the trace; what it found at its start is what the model starts with.
    const files = CrashFiles.load(this.#data);
    const promised = this.#history.replay();
    const counts = await this.#run();
    const events: FileEvent[] = [];
    await readSystemCalls(this.#trace, this.#data, (event) => events.push(event));
    const report = await this.#images(files, promised, events, { images, isEnough });
    if (report.findings.length === 0) rmSync(this.#trace);
    return { life: this.#life, ...counts, ...report, milliseconds: Math.round(performance.now() - startedAt) };
  }

  remove(keep = false): void {
    if (keep) process.stdout.write(`power-loss test: its folder is kept: ${this.#folder}\n`);
    else rmSync(this.#folder, { recursive: true, force: true });
  }

  async #run(): Promise<{ writes: number }> {
    const { dist, loadMilliseconds } = this.#options;
    const env = {
      VARRAY_CONFIG: writeConfiguration(this.#folder),
      VARRAY_MEMORY_FRAMES: "64MiB",
      VARRAY_DESTAGE_AGE_SECONDS: "1",
      VARRAY_DESTAGE_DIRTY_PERCENT_MAX: "5",
    };
    const traced = await startTraced({
      folder: this.#data,
      trace: this.#trace,
      env,
      ...(dist === undefined ? {} : { dist }),
    });
    const { array } = traced;
    try {
      const load = new DurableLoad({ history: this.#history, random: this.#random, mark: traced.mark });
      const { targetName, portalPorts } = array;
      const sessions = await Promise.all(
        portalPorts.map((port, n) => PipelinedSession.open({ port, targetName, solicited: n === 1 })),
      );
      for (const session of sessions) await session.testUnitReady(0);
      const workers = sessions.flatMap((session) => Array.from({ length: WORKERS_PER_SESSION }, () => load.work(session)));
      const over = Promise.all(workers);
      await Promise.race([sleep(loadMilliseconds), over]);
      load.isOver = true;
      if (this.#random.chance(STOP_SHARE)) await array.stop();
      else await array.kill9();
      await over;
      for (const session of sessions) session.close();
      writeFileSync(join(this.#folder, "array.log"), array.log);
      return { writes: load.counts.writes };
    } finally {
      await array.kill9();
      await traced.end();
    }
  }

  async #images(
    files: CrashFiles,
    promised: DurableReplay,
    events: readonly FileEvent[],
    { images, isEnough }: { readonly images: number; readonly isEnough: (found: ImageReport) => boolean },
  ): Promise<Omit<LifeReport, "life" | "writes" | "milliseconds">> {
    const ready = events.findIndex(({ kind }) => kind === "mark");
    const points = this.#points(events, Math.max(0, ready), images);
    const target = join(this.#folder, "image");
    const next = join(this.#folder, "next");
    const nextIs = this.#random.between(Math.floor(points.length / 2), points.length - 1);
    const findings: ImageReport[] = [];
    let uncertain = 0;
    let edges = 0;
    let made = 0;
    const openings = { pool: 0, degraded: 0, array: 0 };
    let found: Uint32Array | undefined;
    const isOver = (): boolean => findings.some(isEnough);
    for (let event = 0; event < events.length && !isOver(); event++) {
      for (; points[made] === event && !isOver(); made++) {
        // Of its own seed, so that an image can be written once more.
        const imageSeed = this.#random.between(0, 2 ** 31);
        const policy = drawPolicy(new Random(imageSeed));
        rmSync(target, { recursive: true, force: true });
        if (writeImage(files, target, new Random(imageSeed), policy) > 0) uncertain += 1;
        if (events[event]!.kind === "syncEnd" || events[event - 1]?.kind === "syncEnd") edges += 1;
        if (made === nextIs) cpSync(target, next, { recursive: true });
        const opened = made === nextIs ? "pool" : this.#opening();
        openings[opened] += 1;
        const result = await this.#judge(target, promised, opened);
        if (result.findings.length > 0) {
          findings.push({ life: this.#life, image: made, event, policy: policy.name, opened, findings: result.findings });
          writeImage(files, join(this.#folder, `found-${this.#life}-${made}`), new Random(imageSeed), policy);
        }
        if (made === nextIs) found = result.found;
      }
      files.apply(events[event]!);
      const applied = events[event]!;
      if (applied.kind === "mark") promised.mark(applied.text);
    }
    if (found !== undefined) this.#becomes(next, found);
    return {
      events: events.length,
      syncs: events.filter(({ kind }) => kind === "syncEnd").length,
      zonesMade: events.filter(
        (event) => event.kind === "rename" && event.path.endsWith(".new") && event.path.includes("/zones/"),
      ).length,
      zonesRemoved: events.filter((event) => event.kind === "rename" && event.to.endsWith(".gone")).length,
      promises: promised.promisesTaken,
      images: made,
      edges,
      uncertain,
      openings,
      findings,
    };
  }

  /** The next life begins with this image: the array never knew of what came after. */
  #becomes(image: string, found: Uint32Array): void {
    rmSync(this.#data, { recursive: true });
    renameSync(image, this.#data);
    this.#history.settle(found);
  }

  #opening(): Opening {
    const dice = this.#random.next();
    if (dice < WHOLE_ARRAY_SHARE) return "array";
    return dice < WHOLE_ARRAY_SHARE + DEGRADED_SHARE ? "degraded" : "pool";
  }

  async #judge(
    image: string,
    promised: DurableReplay,
    opened: Opening,
  ): Promise<{ findings: PowerLossFinding[]; found: Uint32Array | undefined }> {
    let data: Buffer;
    try {
      if (opened === "array") data = await readThroughArray(image, writeConfiguration(this.#folder));
      else data = await readImage(image, opened === "degraded" ? this.#random.between(0, 2) : undefined);
    } catch (error) {
      return { findings: [{ kind: "refused", sector: 0, detail: (error as Error).message }], found: undefined };
    }
    return promised.check(data, FINDINGS_MAX);
  }

  /** Events before which the power fails, rising; the same more than once where there are more images than events. */
  #points(events: readonly FileEvent[], from: number, images: number): number[] {
    const edges: number[] = [];
    for (let event = from; event < events.length; event++) {
      if (events[event]!.kind === "syncEnd") edges.push(event, event + 1);
    }
    const points: number[] = [];
    const atEdges = Math.min(Math.round(images * EDGE_SHARE), images);
    // Spread evenly, so that with as many images as edges each has one.
    for (let n = 0; n < atEdges && edges.length > 0; n++) {
      points.push(edges[Math.floor(((n + this.#random.next()) * edges.length) / atEdges)]!);
    }
    while (points.length < images) points.push(this.#random.between(from, events.length - 1));
    return points.filter((point) => point < events.length).sort((a, b) => a - b);
  }
}
