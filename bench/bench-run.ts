/** What all parts of a run share: the array, the references, the client, and the options. */
import { mkdirSync } from "node:fs";
import { ArrayUnderTest } from "./array-under-test.ts";
import { LoadClient, type LoadOptions, type LoadSpec } from "./load-client.ts";
import { type Measurement, measurementOf, type ThreadRoles } from "./measurement.ts";
import type { BenchOptions, PairTarget } from "./options.ts";
import { MEMORY_FOLDER } from "./prerequisites.ts";
import { difference, parseSeries, type Scrape } from "./prometheus-text.ts";
import { temporaryFolder } from "./started.ts";
import { Tgt } from "./tgt.ts";

/** Commands of this size write regions before anything is measured. */
const FILL: LoadSpec = { mode: "seqwrite", bytes: 1 << 20, depth: 4 };
const READ_BACK: LoadSpec = { mode: "seqread", bytes: 1 << 20, depth: 4 };

export interface TargetRun {
  readonly measurement: Measurement;
  /** What the array counted meanwhile, warming included; of references nothing. */
  readonly counted: ReadonlyMap<string, number>;
}

export class BenchRun {
  readonly options: BenchOptions;
  /** What was to be measured and could not be, in words for people. */
  readonly failures: string[] = [];
  readonly client: LoadClient;
  readonly array: ArrayUnderTest;
  readonly #references: ReadonlyMap<PairTarget, Tgt>;

  private constructor(options: BenchOptions, client: LoadClient, array: ArrayUnderTest, references: readonly Tgt[]) {
    this.options = options;
    this.client = client;
    this.array = array;
    this.#references = new Map(references.map((tgt) => [tgt.kind, tgt]));
  }

  static async begin(options: BenchOptions): Promise<BenchRun> {
    const memoryFolder = temporaryFolder(MEMORY_FOLDER);
    mkdirSync(options.dataFolder, { recursive: true });
    const client = await LoadClient.compile(memoryFolder);
    const kinds = (["stock", "tuned"] as const).filter(
      (kind) => options.parts.includes("pairs") && options.targets.includes(kind),
    );
    const references: Tgt[] = [];
    for (const kind of kinds) references.push(await Tgt.start(kind, memoryFolder));
    for (const tgt of references) {
      if (!tgt.isFullyTuned) process.stderr.write("bench: no libaio unit here: the tuned reference is slower than it could be\n");
    }
    const array = await ArrayUnderTest.start(options.dataFolder);
    return new BenchRun(options, client, array, references);
  }

  async end(): Promise<void> {
    await this.array.stop();
    for (const tgt of this.#references.values()) await tgt.stop();
  }

  /**
   * A page's first touch is slow, on either side: every region is written once and read once before anything is measured.
   * Afterwards the array holds all of it in its cache, and on its drives.
   */
  async touchAll(): Promise<void> {
    const ops = Math.ceil((this.options.spanMebibytes * 2 ** 20) / FILL.bytes);
    for (const target of [...this.#references.keys(), "owner"] as const) {
      for (const spec of [FILL, READ_BACK]) await this.#load(target, spec, { ops });
    }
    await this.array.makeClean();
    await this.array.whenQuiet();
  }

  /** Runs one test against one target, and tells what was used and counted. */
  async measure(target: PairTarget, spec: LoadSpec, options: Partial<LoadOptions> = {}): Promise<TargetRun> {
    const isReference = this.#references.has(target);
    if (isReference) return { measurement: measurementOf(await this.#load(target, spec, options)), counted: new Map() };
    const before = await this.array.scrape();
    const result = await this.#load(target, spec, options);
    const after = await this.array.scrape();
    return { measurement: measurementOf(result, threadRoles(after)), counted: difference(before, after) };
  }

  fail(what: string, error: unknown): void {
    const failure = `${what}: ${(error as Error).message}`;
    this.failures.push(failure);
    process.stderr.write(`bench: ${failure}\n`);
  }

  isReference(target: PairTarget): boolean {
    return this.#references.has(target);
  }

  #load(target: PairTarget, spec: LoadSpec, options: Partial<LoadOptions>) {
    const tgt = this.#references.get(target);
    return this.client.run(spec, {
      urls: this.#urls(target, spec),
      spanMebibytes: this.options.spanMebibytes,
      seconds: this.options.seconds,
      pids: [tgt?.pid ?? this.array.pid],
      ...options,
    });
  }

  #urls(target: PairTarget, { mode, bytes }: LoadSpec): string[] {
    if (target === "owner") return [this.array.url(0)];
    if (target === "other") return [this.array.url(1)];
    if (target === "both") return [this.array.url(0), this.array.url(1)];
    const tgt = this.#references.get(target);
    if (tgt === undefined) throw new Error(`the reference ${target} was not started`);
    return [tgt.url({ bytes, isRead: mode.endsWith("read") })];
  }
}

/** Which kernel thread does what, as the array tells. */
function threadRoles(scrape: Scrape): ThreadRoles {
  const roles = new Map<number, string>();
  for (const text of scrape.keys()) {
    const { name, labels } = parseSeries(text);
    if (name === "varray_thread_info") roles.set(Number(labels.tid), labels.thread!);
  }
  return roles;
}
