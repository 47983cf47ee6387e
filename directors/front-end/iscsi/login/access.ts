/**
 * Who may log in to this target, as the array document says at this moment. The portal asks anew for each login.
 */
import type { HostDocument } from "../../../../src/control/contract.ts";

export interface Access {
  readonly targetName: string;
  readonly hosts: readonly HostDocument[];
  /** Only initiators in `hosts` may log in. */
  readonly allowListOnly: boolean;
  /** Mapped LUNs: what a target reset resets, and what task management finds. */
  readonly luns: readonly number[];
}

export type Admission =
  | { readonly admitted: false; readonly why: string }
  | { readonly admitted: true; readonly chap: { readonly user: string; readonly secret: string } | undefined };

/** iSCSI names compare without regard to case (RFC 3722 folds them). */
export const sameName = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase();

/** Made once for each list of hosts: every login, and every session at every change of the routing, asks by name. */
const hostsByName = new WeakMap<readonly HostDocument[], ReadonlyMap<string, HostDocument>>();

function findHost(hosts: readonly HostDocument[], initiatorName: string): HostDocument | undefined {
  let byName = hostsByName.get(hosts);
  if (byName === undefined) {
    byName = new Map(hosts.map((host) => [host.initiatorName.toLowerCase(), host]));
    hostsByName.set(hosts, byName);
  }
  return byName.get(initiatorName.toLowerCase());
}

/** @param listedOnly - the portal is beyond loopback and not "open": what let it open must hold for everyone who logs in. */
export function admit(access: Access, initiatorName: string, listedOnly: boolean): Admission {
  const host = findHost(access.hosts, initiatorName);
  if (host === undefined) {
    if (access.allowListOnly || listedOnly) return { admitted: false, why: "is not on the list of initiators" };
    return { admitted: true, chap: undefined };
  }
  if (listedOnly && !access.allowListOnly && host.chap === undefined) {
    return { admitted: false, why: "has no CHAP secret and the allow-list is off: beyond loopback it needs one of them" };
  }
  return { admitted: true, chap: host.chap };
}
