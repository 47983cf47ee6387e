/** What a process holds: RssAnon + RssShmem of /proc/<pid>/status, sampled. Linux only. */
import { readFileSync } from "node:fs";

const SAMPLE_MILLISECONDS = 200;

/** Bytes; throws where the process is gone. */
export function residentBytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const kibibytes = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1] ?? 0);
  return (kibibytes("RssAnon") + kibibytes("RssShmem")) * 1024;
}

export class MemorySampler {
  readonly samples: number[] = [];
  readonly #timer: NodeJS.Timeout;

  constructor(pid: number) {
    const sample = (): void => {
      try {
        this.samples.push(residentBytes(pid));
      } catch {
        this.stop();
      }
    };
    sample();
    this.#timer = setInterval(sample, SAMPLE_MILLISECONDS);
  }

  get most(): number {
    return Math.max(...this.samples);
  }

  /** Of one part of the run, as shares of it from 0 to 1. */
  mostBetween(from: number, to: number): number {
    const { length } = this.samples;
    return Math.max(
      ...this.samples.slice(Math.floor(from * length), Math.max(Math.floor(from * length) + 1, Math.ceil(to * length))),
    );
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
