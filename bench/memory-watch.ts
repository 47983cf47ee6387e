/** What the array's process holds, looked at twice a second while everything else is measured. */
import type { ArrayUnderTest, MemoryUse } from "./array-under-test.ts";

const INTERVAL_MILLISECONDS = 500;

export interface MemoryResults {
  /** RssAnon + RssShmem, bytes. */
  readonly atRestBytes: number;
  readonly peakBytes: number;
  readonly atEndBytes: number;
  readonly framesBytes: number;
  readonly drives: number;
  /** Every so many seconds since the start, for a picture: [seconds, bytes]. */
  readonly course: readonly (readonly [number, number])[];
}

/** Points of the picture: each keeps the largest of what lies between. */
const COURSE_POINTS_MAX = 200;

export class MemoryWatch {
  readonly #array: ArrayUnderTest;
  readonly #timer: NodeJS.Timeout;
  readonly #began = performance.now();
  readonly #course: [number, number][] = [];
  readonly #atRestBytes: number;
  #peakBytes = 0;

  /** Begins when the array is up and has not worked yet: that is "at rest". */
  constructor(array: ArrayUnderTest) {
    this.#array = array;
    this.#atRestBytes = this.#look();
    this.#timer = setInterval(() => this.#look(), INTERVAL_MILLISECONDS);
  }

  async end(): Promise<MemoryResults> {
    clearInterval(this.#timer);
    const atEndBytes = this.#look();
    const scrape = await this.#array.scrape();
    const drives = [...scrape.keys()].filter((series) => series.startsWith("varray_drive_capacity_bytes{")).length;
    return {
      atRestBytes: this.#atRestBytes,
      peakBytes: this.#peakBytes,
      atEndBytes,
      framesBytes: scrape.get("varray_memory_frames_bytes") ?? 0,
      drives,
      course: thinned(this.#course, COURSE_POINTS_MAX),
    };
  }

  #look(): number {
    const bytes = total(this.#array.memoryUse());
    this.#peakBytes = Math.max(this.#peakBytes, bytes);
    this.#course.push([Math.round((performance.now() - this.#began) / 100) / 10, bytes]);
    return bytes;
  }
}

function total({ anonymousBytes, sharedBytes }: MemoryUse): number {
  return anonymousBytes + sharedBytes;
}

/** At most so many points: of each run of neighbours the largest, at its own time. */
export function thinned(course: readonly (readonly [number, number])[], points: number): (readonly [number, number])[] {
  const run = Math.ceil(course.length / points);
  const kept: (readonly [number, number])[] = [];
  for (let at = 0; at < course.length; at += run) {
    const neighbours = course.slice(at, at + run);
    kept.push(neighbours.reduce((most, point) => (point[1] > most[1] ? point : most)));
  }
  return kept;
}
