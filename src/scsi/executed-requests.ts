/**
 * Requests of other directors that a dead owner had executed: its successor answers their repeats from here, and does not
 * execute them again (architecture invariant 9). A write may have been overwritten since: a repeat would undo that.
 *
 *   before recovery: `expect` what requesters still wait for ─▶ recovery: `found` in the journal ─▶ repeats: `has`
 *
 * Runs on: the director that takes over. Bounded by the tokens of all directors: what nobody waits for is not kept.
 */
import { directorOfNexus } from "./task.ts";

/** As a journal entry has it, and a task that is repeated. */
export interface ChannelRequest {
  readonly nexus: number;
  readonly requesterEpoch: number;
  readonly request: number;
}

export class ExecutedRequests {
  #expected = new Set<string>();
  readonly #found = new Set<string>();

  /**
   * Begins a takeover: requests that survivors sent to the dead owner and had no answer to.
   * Of takeovers before, what was found stays as long as it may be asked for: their requesters wait for the same recovery.
   */
  expect(requests: readonly { readonly director: number; readonly epoch: number; readonly request: number }[]): void {
    this.#expected = new Set(requests.map(({ director, epoch, request }) => keyOf(director, epoch & 0xffff, request)));
    for (const key of this.#found) if (!this.#expected.has(key)) this.#found.delete(key);
  }

  found({ nexus, requesterEpoch, request }: ChannelRequest): void {
    const key = keyOf(directorOfNexus(nexus), requesterEpoch, request);
    if (this.#expected.has(key)) this.#found.add(key);
  }

  has({ nexus, requesterEpoch, request }: ChannelRequest): boolean {
    return this.#found.has(keyOf(directorOfNexus(nexus), requesterEpoch, request));
  }
}

function keyOf(director: number, epoch: number, request: number): string {
  return `${director} ${epoch} ${request}`;
}
