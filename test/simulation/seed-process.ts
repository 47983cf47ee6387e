/** A process that runs one seed after the other, as it is told. */

import { runSeed } from "./run-seed.ts";
import { crashSites } from "./sites.ts";
import type { SwarmFeature } from "./swarm.ts";

export interface SeedReport {
  readonly seed: number;
  readonly violation: string | undefined;
  readonly lines: readonly string[];
  readonly crashes: readonly (readonly [site: string, count: number])[];
  readonly crashCount: number;
  readonly reached: readonly string[];
  readonly events: number;
  readonly traceHash: number;
  readonly seen: Readonly<Record<string, number>>;
}

const sites = crashSites();

interface Order {
  readonly seed: number;
  readonly crashes?: number;
  readonly mirrored: boolean;
  readonly healing: boolean;
  readonly swarm: readonly SwarmFeature[];
}

process.on("message", ({ crashes, ...order }: Order) => {
  void runSeed({ ...order, sites, ...(crashes === undefined ? {} : { crashes }) }).then((result) => {
    const report: SeedReport = { ...result, crashes: [...result.crashes], reached: [...result.reached] };
    process.send!(report);
  });
});
