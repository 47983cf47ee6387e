/**
 * The control plane's commands to main: those that concern threads. Each settles once: by main's answer or at its deadline.
 *
 * Runs on: the control thread. Bounded: at most COMMANDS_MAX are under way.
 */
import { ApiError } from "./api-error.ts";
import type { MainCommand } from "./contract.ts";

const COMMANDS_MAX = 16;

interface Pending {
  readonly resolve: () => void;
  readonly reject: (error: ApiError) => void;
  readonly timer: NodeJS.Timeout;
}

export class MainLink {
  readonly #tell: (id: number, command: MainCommand) => void;
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;

  constructor(tell: (id: number, command: MainCommand) => void) {
    this.#tell = tell;
  }

  /** @throws ApiError 409 with main's reason, 503 where it did not come to its end in time */
  command(command: MainCommand, deadlineSeconds: number): Promise<void> {
    if (this.#pending.size >= COMMANDS_MAX) {
      return Promise.reject(new ApiError(503, "busy", `${COMMANDS_MAX} commands are under way; try again`));
    }
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#pending.delete(id);
        reject(new ApiError(503, "timeout", `this was not done within ${deadlineSeconds} s; it may still be under way`));
      }, deadlineSeconds * 1000);
      this.#pending.set(id, { resolve, reject, timer });
      this.#tell(id, command);
    });
  }

  ended(id: number, refusal: string | undefined): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return; // its deadline has passed
    this.#pending.delete(id);
    clearTimeout(pending.timer);
    if (refusal === undefined) pending.resolve();
    else pending.reject(new ApiError(409, "refused", refusal));
  }
}
