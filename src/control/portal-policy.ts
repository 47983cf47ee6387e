/**
 * May this portal open? Beyond loopback only with the allow-list on, with CHAP on every host, or when the operator said
 * `open`. The front end holds to the same (portal-safety.ts) and lets only known hosts in there; this is asked first, so
 * that the reason is one that the API can explain.
 */

import type { Config, DirectorConfig } from "../config/config.ts";
import { isLoopback } from "../config/host-address.ts";
import type { ArrayDocument } from "./contract.ts";

/** undefined: yes; else what to do about it. */
export function portalRefusal(
  config: Config,
  director: DirectorConfig,
  array: Pick<ArrayDocument, "allowListOnly" | "hosts">,
): string | undefined {
  const { host, port } = director.portal;
  if (isLoopback(host) || config.open || array.allowListOnly) return undefined;
  if (array.hosts.length > 0 && array.hosts.every(({ chap }) => chap !== undefined)) return undefined;
  return (
    `${host}:${port} is beyond loopback and any initiator could log in: add hosts and switch the allow-list on ` +
    `(varray hosts add …, varray hosts allow-list on), or set VARRAY_OPEN=1`
  );
}

/** Of a portal that may open: why it may. */
export function portalGrounds(
  config: Config,
  director: DirectorConfig,
  array: Pick<ArrayDocument, "allowListOnly" | "hosts">,
): string {
  if (array.allowListOnly) return "the allow-list is on, only known hosts log in";
  if (isLoopback(director.portal.host)) return "it is on loopback";
  if (config.open) return "any initiator that reaches it may log in (VARRAY_OPEN, or published on loopback only)";
  return "every host must prove a CHAP secret";
}
