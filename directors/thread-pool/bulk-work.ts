/** Stripes in bulk on the director's thread pool: the product's BulkWork. */
import type { BulkWork } from "../../src/raid/bulk-work.ts";
import type { ThreadPool } from "./thread-pool.ts";

export function threadPoolBulkWork(pool: ThreadPool): BulkWork {
  return {
    reconstruct: (job) => pool.run("reconstruct", job),
    verify: (job) => pool.run("verifyStripes", job),
  };
}
