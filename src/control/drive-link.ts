/**
 * The control plane's way to the drives themselves, through main: commands with deadlines, and what people did to drives.
 *
 * Runs on: the control thread. Invariant: every command settles, by its answer or at its deadline, and at most
 * COMMANDS_MAX are out.
 */
import { ApiError } from "./api-error.ts";
import type { ControlToMain, DriveAnswer, DriveCommand, DriveCondition } from "./contract.ts";

const COMMANDS_MAX = 16;
/** Opening a drive reads the logs of its databases. */
const COMMAND_SECONDS = 30;

const STATUS = { notFound: 404, conflict: 409, failed: 500 } as const satisfies Record<
  Extract<DriveAnswer, { ok: false }>["code"],
  number
>;

export class DriveLink {
  readonly #post: (message: ControlToMain) => void;
  readonly #pending = new Map<number, (answer: DriveAnswer | undefined) => void>();
  #nextId = 1;
  #conditions: readonly DriveCondition[] = [];

  constructor(post: (message: ControlToMain) => void) {
    this.#post = post;
  }

  /** Drives that are pulled or have faults set. */
  get conditions(): readonly DriveCondition[] {
    return this.#conditions;
  }

  setConditions(conditions: readonly DriveCondition[]): void {
    this.#conditions = conditions;
  }

  answered(id: number, answer: DriveAnswer): void {
    this.#pending.get(id)?.(answer);
  }

  /** @throws ApiError */
  async ask(command: DriveCommand): Promise<unknown> {
    if (this.#pending.size >= COMMANDS_MAX)
      throw new ApiError(503, "busy", `${COMMANDS_MAX} commands to drives are under way; try again`);
    const id = this.#nextId++;
    const answer = await new Promise<DriveAnswer | undefined>((resolve) => {
      const timer = setTimeout(resolve, COMMAND_SECONDS * 1000, undefined);
      this.#pending.set(id, (given) => {
        clearTimeout(timer);
        resolve(given);
      });
      this.#post({ kind: "driveCommand", id, command });
    });
    this.#pending.delete(id);
    if (answer === undefined) {
      const message = `the drive did not answer "${command.kind}" within ${COMMAND_SECONDS} s; whether it was done is not known`;
      throw new ApiError(504, "timeout", message);
    }
    if (!answer.ok) throw new ApiError(STATUS[answer.code], answer.code, answer.message);
    return answer.value;
  }
}
