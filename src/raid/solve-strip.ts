/**
 * Computes a strip of a stripe from others of it: the mathematics of one and of two erasures.
 *
 * With D_c the strip of column c and 2 the generator of GF(2^8):
 *
 *   P = Σ D_c        Q = Σ 2^c D_c
 *
 *   lost x:          D_x = P + Σ' D_c                          (Σ' over the columns that are there)
 *   lost x, P:       D_x = (Q + Σ' 2^c D_c) / 2^x
 *   lost x, y:       D_x = (2^y Pxy + Qxy) / (2^x + 2^y)       with Pxy = P + Σ' D_c, Qxy = Q + Σ' 2^c D_c
 *   lost x, Q; P; Q; P, Q: as above, then parity anew of all columns
 *
 * A strip here is its blocks and tags; headers are not part of it (strip.ts). Pure: works on global memory by addresses.
 * See H. P. Anvin, "The mathematics of RAID-6".
 */
import type { Address } from "../../drivers/shared-memory/global-memory.ts";
import type { Kernels } from "../../drivers/shared-memory/kernels.ts";
import { gfInverse, gfPower } from "./gf256.ts";
import { type RaidLevel, ROLE_P, ROLE_Q } from "./raid-level.ts";

export interface StripEquation {
  readonly kernels: Kernels;
  readonly level: RaidLevel;
  readonly bytes: number;
  /** Roles that can't be had or are not to be used, `target` among them: no more than the level has parities. */
  readonly erased: readonly number[];
  readonly target: number;
  /** Where the strip of a role that is not erased lies. Which of them are read: see `rolesNeeded`. */
  readonly addressOf: (role: number) => Address;
  /** Overwritten with the target's strip; apart from all others. */
  readonly out: Address;
  /** Room for one more strip, of a level with two parities. */
  readonly scratch: Address;
}

/** The roles that `solveStrip` looks at: all columns that are there, and as few parities as will do. */
export function rolesNeeded(level: RaidLevel, erased: readonly number[]): number[] {
  const roles: number[] = [];
  let columnsLost = 0;
  for (let column = 0; column < level.dataColumns; column++) {
    if (erased.includes(column)) columnsLost += 1;
    else roles.push(column);
  }
  for (let parity = ROLE_P; columnsLost > 0 && parity >= -level.parities; parity--) {
    if (erased.includes(parity)) continue;
    roles.push(parity);
    columnsLost -= 1;
  }
  return roles;
}

export function solveStrip(equation: StripEquation): void {
  const { level, erased, target, out, scratch, addressOf } = equation;
  if (erased.length > level.parities || !erased.includes(target))
    throw new Error(`invariant: ${level.label} can't compute ${target} without ${erased.join(", ")}`);
  const columns = erased.filter((role) => role >= 0);
  const [x, y] = columns;
  if (x === undefined) parityOf(equation, addressOf);
  else if (y !== undefined) twoColumns(equation, target === x ? y : x);
  else if (target === x) oneColumn(equation, x, out);
  else {
    oneColumn(equation, x, scratch);
    parityOf(equation, (role) => (role === x ? scratch : addressOf(role)));
  }
}

/** The target, P or Q, of all columns. */
function parityOf({ kernels, level, bytes, target, out }: StripEquation, addressOf: (role: number) => Address): void {
  kernels.fill(out, 0, bytes);
  for (let column = 0; column < level.dataColumns; column++) {
    if (target === ROLE_P) kernels.xor(out, addressOf(column), bytes);
    else kernels.multiplyAdd(out, addressOf(column), gfPower(column), bytes);
  }
}

/** The only column that is lost: by P, or by Q where P is lost too. */
function oneColumn({ kernels, level, bytes, erased, addressOf }: StripEquation, x: number, out: Address): void {
  const byQ = erased.includes(ROLE_P);
  kernels.copy(out, addressOf(byQ ? ROLE_Q : ROLE_P), bytes);
  for (let column = 0; column < level.dataColumns; column++) {
    if (column === x) continue;
    if (byQ) kernels.multiplyAdd(out, addressOf(column), gfPower(column), bytes);
    else kernels.xor(out, addressOf(column), bytes);
  }
  if (byQ) kernels.multiply(out, gfInverse(gfPower(x)), bytes);
}

/** The target of two columns that are lost. */
function twoColumns(equation: StripEquation, other: number): void {
  const { kernels, level, bytes, erased, target, addressOf, out, scratch } = equation;
  kernels.copy(scratch, addressOf(ROLE_P), bytes);
  kernels.copy(out, addressOf(ROLE_Q), bytes);
  for (let column = 0; column < level.dataColumns; column++) {
    if (erased.includes(column)) continue;
    kernels.xor(scratch, addressOf(column), bytes);
    kernels.multiplyAdd(out, addressOf(column), gfPower(column), bytes);
  }
  kernels.multiplyAdd(out, scratch, gfPower(other), bytes);
  kernels.multiply(out, gfInverse(gfPower(target) ^ gfPower(other)), bytes);
}

/**
 * What may be taken as erased, each worth a try, the likeliest first.
 * @param gone - roles that can't be had, the wanted one among them
 * @param unsound - roles whose strips don't prove themselves; any other may be wrong too without showing it
 */
export function erasureChoices(level: RaidLevel, gone: readonly number[], unsound: readonly number[]): number[][] {
  const room = level.parities - gone.length;
  if (room < 0) return [];
  if (room === 0) return [[...gone]];
  // Two parities, one strip gone: one more may be left out. One that was not looked at can't have been what was wrong.
  const others = rolesNeeded(level, gone).filter((role) => !unsound.includes(role));
  const choices = [...unsound, ...others].map((role) => [...gone, role]);
  return unsound.length === 0 ? [[...gone], ...choices] : [...choices, [...gone]];
}
