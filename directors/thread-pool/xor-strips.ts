/** XOR of several strips into one: parity in bulk, or the strip that is missing. */
import type { Address, GlobalMemory } from "../../drivers/shared-memory/global-memory.ts";

export interface XorStrips {
  /** Overwritten; lies apart from every source. */
  readonly target: Address;
  /** At least one. */
  readonly sources: readonly Address[];
  readonly stripBytes: number;
}

/** Returns the bytes read. */
export function xorStrips(global: GlobalMemory, { target, sources, stripBytes }: XorStrips): number {
  const { kernels } = global;
  const [first, ...others] = sources;
  if (first === undefined) throw new RangeError("xorStrips: no sources");
  kernels.copy(target, first, stripBytes);
  for (const source of others) kernels.xor(target, source, stripBytes);
  return sources.length * stripBytes;
}
