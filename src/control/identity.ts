/**
 * Identities of the array and of its volumes: what hosts recognise a disk by, for ever.
 *
 * Both come from the array's id and the volume's number. The id is random, the number is never given twice, so neither
 * is an identity (SPC-5 §7.7.6.6, NAA 6h: "IEEE Registered Extended", 16 bytes).
 */
import { randomBytes } from "node:crypto";
import type { VolumeNumber } from "../volume/block-io.ts";

/** Locally administered (bit 1 of the first octet): no registered company's, "VA" in its lower octets. */
const COMPANY_ID = "025641";

/** 32 hexadecimal digits. */
export function newArrayId(): string {
  return randomBytes(16).toString("hex");
}

/** 32 hexadecimal digits: 6, company, 36 bits and 32 bits of the array's id, the volume's number. */
export function naaOf(arrayId: string, volume: VolumeNumber): string {
  return `6${COMPANY_ID}${arrayId.slice(0, 9)}${arrayId.slice(9, 17)}${volume.toString(16).padStart(8, "0")}`;
}

/** Unit serial number: 20 characters, shown by operating systems. */
export function serialOf(arrayId: string, volume: VolumeNumber): string {
  return `${arrayId.slice(0, 12)}${volume.toString(16).padStart(8, "0")}`.toUpperCase();
}
