/**
 * Work on many stripes at once (rebuild, scrub), done where it holds no host up: in the product on the director's thread
 * pool, in tests and in the simulation in place.
 */
import type { GlobalMemory } from "../../drivers/shared-memory/global-memory.ts";
import { type Reconstructed, type ReconstructJob, reconstruct } from "./reconstruct.ts";
import type { StripesJob } from "./stripes-job.ts";
import { type StripFinding, verifyStripes } from "./verify-stripes.ts";

/** The memory that a job names is the worker's until its promise settles. */
export interface BulkWork {
  reconstruct(job: ReconstructJob): Promise<Reconstructed>;
  verify(job: StripesJob): Promise<StripFinding[]>;
}

export function inlineBulkWork(global: GlobalMemory): BulkWork {
  return {
    reconstruct: async (job) => reconstruct(global, job),
    verify: async (job) => verifyStripes(global, job),
  };
}
