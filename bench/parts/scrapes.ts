/**
 * Whether hosts notice that somebody looks: latency with /metrics scraped once and ten times a second, and with API calls
 * ten times a second, against latency without, in turn. The requests come from this process, on the same cores: what they
 * cost here costs elsewhere less.
 */
import { type ClientRequest, get } from "node:http";
import type { BenchRun } from "../bench-run.ts";
import type { LoadSpec } from "../load-client.ts";
import type { Measurement } from "../measurement.ts";

const SPECS: readonly LoadSpec[] = [
  { mode: "randread", bytes: 4096, depth: 32 },
  { mode: "randwrite", bytes: 4096, depth: 32 },
];
/** A scrape in a second, at least two in each run. */
const SECONDS_LEAST = 2;

interface Looking {
  readonly name: string;
  readonly path: string;
  readonly perSecond: number;
}

const LOOKINGS: readonly Looking[] = [
  { name: "nobody looks", path: "", perSecond: 0 },
  { name: "/metrics, 1 a second", path: "/metrics", perSecond: 1 },
  { name: "/metrics, 10 a second", path: "/metrics", perSecond: 10 },
  { name: "API (volumes), 10 a second", path: "/api/v1/volumes", perSecond: 10 },
];

export interface ScrapeRow {
  readonly spec: LoadSpec;
  readonly looking: string;
  readonly measurements: Measurement[];
  /** Requests answered in all repeats: none failed. */
  requests: number;
}

export async function measureScrapes(run: BenchRun): Promise<ScrapeRow[]> {
  const rows: ScrapeRow[] = [];
  const seconds = Math.max(run.options.seconds, SECONDS_LEAST);
  for (const spec of SPECS) {
    const pairs = LOOKINGS.map((looking) => {
      const row: ScrapeRow = { spec, looking: looking.name, measurements: [], requests: 0 };
      return { looking, row };
    });
    for (let rep = 0; rep < run.options.reps; rep++) {
      for (const { looking, row } of rep % 2 === 0 ? pairs : pairs.toReversed()) {
        await run.array.whenQuiet();
        const looker = new Looker(run, looking);
        row.measurements.push((await run.measure("owner", spec, { seconds })).measurement);
        row.requests += looker.stop();
      }
    }
    rows.push(...pairs.map(({ row }) => row));
  }
  return rows;
}

/** Asks at even times; answers are read to their end and thrown away. */
class Looker {
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #underWay = new Set<ClientRequest>();
  #answered = 0;

  constructor(run: BenchRun, { path, perSecond }: Looking) {
    if (perSecond === 0) return;
    const options = { host: "127.0.0.1", port: run.array.apiPort, path, headers: run.array.authorization };
    this.#timer = setInterval(() => {
      const request = get(options, (answer) => {
        if (answer.statusCode !== 200) throw new Error(`${path}: ${answer.statusCode}`);
        answer.resume().once("end", () => {
          this.#answered++;
          this.#underWay.delete(request);
        });
      });
      this.#underWay.add(request);
    }, 1000 / perSecond);
  }

  stop(): number {
    clearInterval(this.#timer);
    for (const request of this.#underWay) request.on("error", () => {}).destroy();
    return this.#answered;
  }
}
