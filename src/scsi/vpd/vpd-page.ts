/** A vital product data page: its code, and how its bytes after the header are made (SPC-4 §7.8). */
import type { VolumeInfo } from "../../volume/block-io.ts";
import type { TargetIdentity, TargetPort } from "../target-identity.ts";

interface VpdSubject {
  readonly info: VolumeInfo;
  readonly identity: TargetIdentity;
  /** The port through which the question came. */
  readonly port: TargetPort;
}

export interface VpdPage {
  readonly code: number;
  readonly body: (subject: VpdSubject) => Uint8Array;
}

/** Header of every page: peripheral qualifier and device type, page code, page length. */
export function vpdPage(peripheral: number, code: number, body: Uint8Array): Uint8Array {
  const page = new Uint8Array(4 + body.length);
  page[0] = peripheral;
  page[1] = code;
  page[2] = body.length >> 8;
  page[3] = body.length & 0xff;
  page.set(body, 4);
  return page;
}
