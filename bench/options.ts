/** What `npm run bench` takes on its command line. */
import { tmpdir } from "node:os";
import { parseArgs } from "node:util";
import { type LoadSpec, parseSpec } from "./load-client.ts";

export const PART_NAMES = ["pairs", "durable", "scrapes", "endless", "misses", "healing", "sustained"] as const;
/** What `--quick` leaves out. */
const LONG_PARTS: readonly string[] = ["misses", "healing", "sustained"];
export type PartName = (typeof PART_NAMES)[number];

const PAIR_TARGETS = ["stock", "tuned", "owner", "other", "both"] as const;
export type PairTarget = (typeof PAIR_TARGETS)[number];

export interface BenchOptions {
  readonly parts: readonly PartName[];
  readonly isQuick: boolean;
  readonly reps: number;
  /** Measured, of each run. */
  readonly seconds: number;
  readonly spanMebibytes: number;
  /** Of the pairs: all, unless given. */
  readonly tests: readonly LoadSpec[] | undefined;
  readonly targets: readonly PairTarget[];
  /** Below which the array's data goes. */
  readonly dataFolder: string;
  /** Where the results go; a file named after the time unless given. */
  readonly out: string | undefined;
}

export const USAGE = `usage: npm run bench -- [options]

Measures the built array beside tgt, the Linux SCSI target in user space, as it comes ("stock") and tuned. Starts arrays
and targets of its own, on free ports and in temporary folders, and removes them. Nothing else should run meanwhile.

  --quick             a few minutes: fewer repeats and paths; good for a look, not for a claim
  --parts A,B,…       only these: ${PART_NAMES.join(", ")}
                        pairs    tests of the array and tgt in turn, what threads use, where the time goes
                        durable  FUA writes, beside what a journal file can take
                        scrapes  latency while /metrics is scraped and the API is called
                        endless  sequential writes that never end, beside what the drives can take
                        misses   reads that miss the cache, beside what the drives give (not with --quick)
                        healing  rebuild, copy-back and scrub, beside raw copies of drives, and hosts meanwhile (not with --quick)
                        sustained  random overwrites for ten minutes (not with --quick)
  --tests "T T…"      pairs: only these, as mode:bytes:depth (randread:4096:32); modes: randread randwrite randmixW
                      seqread seqwrite; a seqwrite writes the span once, starting clean
  --targets A,B,…     pairs: only these: ${PAIR_TARGETS.join(", ")}
                        owner    through the director that owns the volume     other  through the other one
                        both     half of the depth through each
  --reps N            repeats, of which medians are shown (5; quick: 3)
  --seconds S         measured, of each run (1.5; quick: 1)
  --span MIB          region of the volume that is used, 1 to 1024 (256)
  --data FOLDER       the array's data goes below it: the disk that is measured (the folder for temporary files)
  --out FILE          results as JSON (bench/results/TIME.json)
  --help

Needs root (for tgtd), a C compiler, and Debian's packages tgt and libiscsi-dev. The whole takes about 40 minutes.
Then: npm run bench:report makes docs/performance.md of the newest results.
`;

/** @throws RangeError in words for people when something is not understood */
export function parseOptions(args: readonly string[]): BenchOptions | "help" {
  const { values } = parseCommandLine(args);
  if (values.help) return "help";
  const isQuick = values.quick ?? false;
  const spanMebibytes = number("span", values.span ?? "256", 1, 1024);
  return {
    parts:
      values.parts === undefined
        ? PART_NAMES.filter((part) => !isQuick || !LONG_PARTS.includes(part))
        : list("parts", values.parts, PART_NAMES),
    isQuick,
    reps: number("reps", values.reps ?? (isQuick ? "3" : "5"), 1, 100),
    seconds: number("seconds", values.seconds ?? (isQuick ? "1" : "1.5"), 0.1, 600),
    spanMebibytes,
    tests: values.tests?.trim().split(/\s+/).map(parseSpec),
    targets: values.targets === undefined ? PAIR_TARGETS : list("targets", values.targets, PAIR_TARGETS),
    dataFolder: values.data ?? tmpdir(),
    out: values.out,
  };
}

function parseCommandLine(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        quick: { type: "boolean" },
        parts: { type: "string" },
        tests: { type: "string" },
        targets: { type: "string" },
        reps: { type: "string" },
        seconds: { type: "string" },
        span: { type: "string" },
        data: { type: "string" },
        out: { type: "string" },
        help: { type: "boolean", short: "h" },
      },
    });
  } catch (error) {
    throw new RangeError((error as Error).message);
  }
}

function number(name: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (text.trim() !== "" && value >= least && value <= most) return value;
  throw new RangeError(`--${name} is "${text}", must be a number from ${least} to ${most}`);
}

function list<Name extends string>(option: string, text: string, known: readonly Name[]): Name[] {
  return text.split(",").map((name) => {
    const found = known.find((one) => one === name.trim());
    if (found === undefined) throw new RangeError(`--${option}: there is no "${name}"; there are ${known.join(", ")}`);
    return found;
  });
}
