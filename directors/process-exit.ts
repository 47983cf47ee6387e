/**
 * The one way out of the process. Says why, joins the threads as far as that goes, and ends.
 *
 * Runs on: main. A thread in a native call can't be joined before the call ends, and process.exit would wait for it for
 * ever: past JOIN_MILLISECONDS_MAX (or what is left) the process kills itself, which its journal and drives are made for.
 */
import { writeSync } from "node:fs";
import type { ExitStatus } from "./start-error.ts";

const JOIN_MILLISECONDS_MAX = 2000;
const STDERR = 2;

export interface Joinable {
  terminate(): Promise<void>;
}

let exiting = false;

/**
 * @param message - to stderr, written before anything else is tried; undefined: nothing to say
 * @param joinMilliseconds - less than JOIN_MILLISECONDS_MAX where the end was promised earlier
 */
export async function exitProcess(
  status: ExitStatus,
  message: string | undefined,
  threads: readonly Joinable[],
  joinMilliseconds: number = JOIN_MILLISECONDS_MAX,
): Promise<void> {
  if (message !== undefined) writeSync(STDERR, `${message}\n`);
  // A second reason while the first one ends us: it was said, that is all.
  if (exiting) return;
  exiting = true;
  setTimeout(() => process.kill(process.pid, "SIGKILL"), Math.min(joinMilliseconds, JOIN_MILLISECONDS_MAX));
  await Promise.allSettled(threads.map((thread) => thread.terminate()));
  process.exit(status);
}
