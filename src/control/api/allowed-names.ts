/**
 * Under which names the API may be called: loopback, the bound address and what is configured.
 *
 * A web page that a browser shows can reach loopback, under its own host name (DNS rebinding) or with its Origin; both
 * are refused, so that no page drives somebody's array.
 */

import type { Config } from "../../config/config.ts";
import { isLoopback } from "../../config/host-address.ts";

export function allowedNames(api: Config["api"]): (host: string | undefined) => boolean {
  const allowed = new Set([...api.allowedHosts, api.host].map((name) => name.toLowerCase()));
  allowed.delete("0.0.0.0");
  allowed.delete("::");
  return (host) => {
    const name = host === undefined ? undefined : hostName(`http://${host}`);
    return name !== undefined && (isLoopback(name) || allowed.has(name));
  };
}

/** Of an Origin or URL, in lower case, IPv6 without brackets; undefined where it is none. */
export function hostName(url: string): string | undefined {
  try {
    return new URL(url).hostname.replace(/^\[(.*)\]$/, "$1") || undefined;
  } catch {
    return undefined;
  }
}
