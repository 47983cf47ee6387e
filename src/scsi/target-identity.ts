/** What names this target and its ports to hosts (INQUIRY, VPD page 83h, REPORT TARGET PORT GROUPS). */
import { directorOfNexus, type NexusNumber } from "./task.ts";

/** Each director is one target port in a target port group of its own. */
export interface TargetPort {
  readonly directorIndex: number;
  /** Target port group and relative target port identifier (and iSCSI portal group tag): director index + 1. */
  readonly groupTag: number;
}

export interface TargetIdentity {
  /** iSCSI name. */
  readonly targetName: string;
  readonly ports: readonly TargetPort[];
  /** The director whose thread this is: it owns the logical units that it serves. */
  readonly directorIndex: number;
}

/** Eight and sixteen and four characters, padded with spaces (SPC-4 §6.6.2). */
export const T10_VENDOR_IDENTIFICATION = "VARRAY  ";
export const PRODUCT_IDENTIFICATION = "VIRTUAL VOLUME  ";
export const PRODUCT_REVISION_LEVEL = "0001";

/** The port through which a nexus came. */
export function portOfNexus(identity: TargetIdentity, nexus: NexusNumber): TargetPort {
  const directorIndex = directorOfNexus(nexus);
  return identity.ports.find((port) => port.directorIndex === directorIndex) ?? { directorIndex, groupTag: directorIndex + 1 };
}
