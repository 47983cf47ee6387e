/**
 * Opens the directors' portals, as far as the policy lets them; tried again when the allow-list changes.
 *
 * Runs on: the control thread.
 */
import { joinAddress } from "../config/host-address.ts";
import type { ArrayState } from "./array-state.ts";
import type { Severity } from "./contract.ts";
import { DirectorError } from "./director-link.ts";
import { portalGrounds, portalRefusal } from "./portal-policy.ts";
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
      const link = this.array.links[index]!;
      if (state.open || link.isGone) continue;
      const refusal = portalRefusal(this.array.config, link.director, this.array.document) ?? (await this.tryOpen(index));
      if (refusal === undefined) this.setOpen(index);
      else this.setClosed(index, "warning", refusal);
    }
  }

  /** Its director has ended: it is opened anew when that is back. */
  lost(index: number, reason: string): void {
    const state = this.states[index]!;
    if (!state.open) return;
    state.open = false;
    this.setClosed(index, "warning", reason);
  }

  private setOpen(index: number): void {
    const state = this.states[index]!;
    state.open = true;
    delete state.reason;
    const { config, document } = this.array;
    const { portal } = config.directors[index]!;
    const why = portalGrounds(config, config.directors[index]!, document);
    const message = `portal ${state.director} is open at ${joinAddress(portal.host, portal.port)}: ${why}`;
    this.array.events.add(eventNow("info", "portal.opened", `portal ${state.director}`, message));
  }

  /** Told once for each reason: portals are tried again with every change of hosts. */
  private setClosed(index: number, severity: Severity, reason: string): void {
    const state = this.states[index]!;
    if (state.reason === reason) return;
    state.reason = reason;
    const message = `portal ${state.director} stays closed: ${reason}`;
    this.array.events.add(eventNow(severity, "portal.closed", `portal ${state.director}`, message));
  }

  private async tryOpen(index: number): Promise<string | undefined> {
    try {
      await this.array.links[index]!.request({ kind: "openPortal" });
      return undefined;
    } catch (error) {
      if (error instanceof DirectorError && error.code === "conflict") return error.message;
      this.setClosed(index, "critical", (error as Error).message);
      throw error;
    }
  }
}
