/** Thin overcommit: volumes that promise hosts more than their pool can hold. Allowed, and said. */

import type { ArrayState } from "./array-state.ts";
import { readableBytes } from "./cli/table.ts";
import type { PoolStatus } from "./contract.ts";

/** Sizes of the pool's volumes together. */
export function provisionedBytes(array: ArrayState, pool: number): number {
  let bytes = 0;
  for (const volume of array.volumes.values()) if (volume.pool === pool) bytes += volume.document.sizeBytes;
  return bytes;
}

/** What to say of it; undefined where the pool can hold its volumes, or does not say what it can hold. */
export function overcommitWarning(array: ArrayState, pool: PoolStatus | undefined): string | undefined {
  if (pool === undefined || pool.usableBytes === 0) return undefined;
  const provisioned = provisionedBytes(array, pool.index);
  if (provisioned <= pool.usableBytes) return undefined;
  return (
    `the volumes of pool ${pool.name} are ${readableBytes(provisioned)} together, and the pool holds ${readableBytes(pool.usableBytes)}: ` +
    "watch its fill, for when it is full writes to new blocks are refused"
  );
}
