/**
 * SendTargets (RFC 7143 §13.3, Appendix C): the one target, with the address that each portal advertises and its group tag.
 * A portal that binds a wildcard address and advertises none is told by the address at which the asker reached this one.
 */
import { joinAddress } from "../../../../src/config/host-address.ts";
import { sameName } from "../login/access.ts";
import type { TextPair } from "../login/text-pairs.ts";
import type { Session } from "../session.ts";

export function sendTargets(session: Session, value: string): TextPair[] {
  const { targetName } = session.services.access();
  const { discovery } = session.identity;
  // All is for discovery sessions; in a normal one an empty value means the target of the session.
  if (value === "All" && !discovery) return [{ key: "SendTargets", value: "Reject" }];
  if (value === "" && discovery) return [{ key: "SendTargets", value: "Reject" }];
  if (value !== "All" && value !== "" && !sameName(value, targetName)) return [];
  const reached = session.identity.localAddress.replace(/^::ffff:/i, "");
  const addresses = session.services.portals.map(({ advertise, port, groupTag }) => ({
    key: "TargetAddress",
    value: `${advertise === "" ? joinAddress(reached, port) : advertise},${groupTag}`,
  }));
  return [{ key: "TargetName", value: targetName }, ...addresses];
}
