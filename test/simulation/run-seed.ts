/** Runs one seed where its engine may run promise callbacks: at the bottom of a turn of the event loop. */
import type { Engine } from "./engine.ts";
import { type RunOptions, type RunResult, World } from "./world.ts";

let running: Engine | undefined;
let listening = false;

export function runSeed(options: RunOptions): Promise<RunResult> {
  if (!listening) {
    listening = true;
    process.on("unhandledRejection", (error) => {
      if (running === undefined) throw error;
      running.rejected(error);
    });
  }
  return new Promise((resolve, reject) => {
    setImmediate(() => {
      try {
        const world = new World(options);
        running = world.engine;
        resolve(world.run());
      } catch (error) {
        reject(error as Error);
      } finally {
        running = undefined;
      }
    });
  });
}
