/** What the threads of the thread table are called in metrics, in its order: directors, drive threads, journal-sync threads. */
import type { Config } from "../../config/config.ts";

/** Threads with an event loop, which count of themselves. */
export function loopThreadNames({ directors, pools }: Config): string[] {
  return [...directors.map(({ name }) => `director ${name}`), ...pools.map(({ name }) => `drives ${name}`)];
}

export function tableThreadNames(config: Config): string[] {
  return [...loopThreadNames(config), ...config.pools.map(({ name }) => `journal ${name}`)];
}
