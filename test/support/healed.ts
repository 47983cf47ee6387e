/** Waits for what a pool does by itself, as the API tells it. */
import { setTimeout as sleep } from "node:timers/promises";
import type { PoolSeen, RunningArray } from "./array.ts";

const LOOK_MILLISECONDS = 50;
const WAIT_MILLISECONDS_MAX = 120_000;

/** @throws Error when it takes too long: with what the pool looks like then */
export async function untilPool(
  array: RunningArray,
  pool: string,
  what: string,
  is: (seen: PoolSeen) => boolean,
): Promise<PoolSeen> {
  const until = performance.now() + WAIT_MILLISECONDS_MAX;
  for (;;) {
    const seen = await array.pool(pool);
    if (is(seen)) return seen;
    if (performance.now() > until) {
      const { state, drives, rebuild, lost } = seen;
      const found = JSON.stringify({ state, drives, rebuild, lost });
      throw new Error(`pool ${pool}: not within ${WAIT_MILLISECONDS_MAX / 1000} s: ${what}; ${found}\n${array.log.slice(-3000)}`);
    }
    await sleep(LOOK_MILLISECONDS);
  }
}

/** Every place has a drive that is up to date, and none is being made. */
export function isHealed({ state, rebuild }: PoolSeen): boolean {
  return state === "optimal" && rebuild === undefined;
}

/** A drive as out of its slot, and back in it. */
export async function moveDrive(array: RunningArray, drive: string, action: "pull" | "insert"): Promise<void> {
  const response = await array.api(`/api/v1/drives/${drive}/${action}`, { method: "POST" });
  if (response.status !== 200) throw new Error(`${action} of drive ${drive}: ${response.status} ${await response.text()}`);
}

/** Of the time, while hosts are active; until the next start. */
export async function setRebuildShare(array: RunningArray, pool: string, rebuildSharePercent: number): Promise<void> {
  const path = `/api/v1/pools/${pool}/healing`;
  const response = await array.api(path, { method: "PATCH", body: { rebuildSharePercent } });
  if (response.status !== 200) throw new Error(`share of pool ${pool}: ${response.status} ${await response.text()}`);
}
