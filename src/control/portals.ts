/**
 * Opens the directors' portals, as far as the policy lets them; tried again when the allow-list changes.
 *
 * Runs on: the control thread.
 */
import type { ArrayState } from "./array-state.ts";
import { DirectorError } from "./director-link.ts";
import { portalRefusal } from "./portal-policy.ts";
import { eventNow } from "./start-up.ts";

export interface PortalState {
  readonly director: string;
  open: boolean;
  reason?: string;
}

export class Portals {
  readonly states: readonly PortalState[];
  private readonly array: ArrayState;

  constructor(array: ArrayState) {
    this.array = array;
    this.states = array.config.directors.map(({ name }) => ({ director: name, open: false, reason: "not asked yet" }));
  }

  /**
   * Opens what is closed and may be open. A policy refusal or a director's "conflict" leaves a portal closed, with an event.
   * @throws DirectorError when a portal that may open can't (its port is taken, say)
   */
  async open(): Promise<void> {
    for (const [index, state] of this.states.entries()) {
      if (state.open) continue;
      const link = this.array.links[index]!;
      const refusal = portalRefusal(this.array.config, link.director, this.array.document) ?? (await this.tryOpen(index));
      if (refusal === undefined) {
        state.open = true;
        delete state.reason;
      } else if (state.reason !== refusal) {
        state.reason = refusal;
        this.array.events.add(
          eventNow("warning", "portal.closed", `portal ${state.director}`, `portal ${state.director} stays closed: ${refusal}`),
        );
      }
    }
  }

  private async tryOpen(index: number): Promise<string | undefined> {
    try {
      await this.array.links[index]!.request({ kind: "openPortal" });
      return undefined;
    } catch (error) {
      if (error instanceof DirectorError && error.code === "conflict") return error.message;
      throw error;
    }
  }
}
