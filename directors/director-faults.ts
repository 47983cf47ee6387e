/** Faults of a director on command: what an operator, or a test, does to it to see what becomes of the array. */
import type { DirectorFault } from "../src/control/contract.ts";

/** Does to this thread what the fault says. Main itself sees to "kill". */
export function suffer(fault: DirectorFault, director: string, cutOff: (seconds: number) => void): void {
  switch (fault.kind) {
    case "kill":
      return;
    case "exit":
      process.exit(1);
      break;
    case "throw":
      // Out of everybody's reach: nobody must catch it.
      setImmediate(() => {
        throw new Error(`director ${director} throws, as it was told to`);
      });
      return;
    case "cutOff":
      cutOff(fault.seconds);
      return;
    case "hang": {
      const until = performance.now() + fault.seconds * 1000;
      while (performance.now() < until) {
        // As code that never comes to an end: the event loop does not turn.
      }
      return;
    }
  }
}
