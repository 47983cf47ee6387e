/**
 * Which portals may listen: beyond loopback only with a list of initiators, CHAP on every host, or an explicit "open".
 */
import { isLoopback } from "../../src/config/host-address.ts";
import type { Access } from "./iscsi/login/access.ts";

export class PortalRefused extends Error {
  constructor(host: string) {
    super(
      `portal ${host} is not on loopback: it needs an allow-list of initiators, CHAP for every host, or VARRAY_OPEN=1 (open: true)`,
    );
    this.name = "PortalRefused";
  }
}

export function checkPortal(host: string, access: Access, open: boolean): void {
  if (open || isLoopback(host) || access.allowListOnly) return;
  if (access.hosts.length > 0 && access.hosts.every((each) => each.chap !== undefined)) return;
  throw new PortalRefused(host);
}

/** Where CHAP on every host is what lets a portal listen, an initiator that is no host must not get in without. */
export function listedOnly(host: string, open: boolean): boolean {
  return !open && !isLoopback(host);
}
