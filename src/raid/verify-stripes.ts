/**
 * Looks at everything that a run of stripes has: each strip's header and checksums, each block's tag, parity against data,
 * copies against each other. Changes nothing but its scratch.
 *
 * Pure: runs on any thread. What it finds says which drive has what is wrong; where only parity does not agree with data
 * that prove themselves, that is the parity's drive.
 */
import type { Address, GlobalMemory } from "../../drivers/shared-memory/global-memory.ts";
import { ROLE_P, ROLE_Q } from "./raid-level.ts";
import { blockProof, stripIsSound } from "./strip.ts";
import { NO_STRIPS, type StripesJob, StripesView } from "./stripes-job.ts";

export interface StripFinding {
  readonly stripe: number;
  readonly position: number;
  /**
   * unsound: the strip is not what its place says, or its header, tags or parity are damaged. block: a data block is not what
   * its tag says. disagrees: parity is not that of the data, or a copy not the same as another.
   */
  readonly kind: "unsound" | "block" | "disagrees";
  /** Of a block: which one in its strip. */
  readonly index?: number;
}

/** @returns at most one finding for each block, and one for each strip, of the job */
export function verifyStripes(global: GlobalMemory, job: StripesJob): StripFinding[] {
  const view = new StripesView(job);
  const findings: StripFinding[] = [];
  for (let n = 0; n < job.count; n++) {
    const before = findings.length;
    const whole = verifyStrips(global, { job, view, n, findings });
    // Only where everything proves itself does it mean something that it does not agree.
    if (whole && findings.length === before) verifyAgreement(global, { job, view, n, findings });
  }
  return findings;
}

interface Looking {
  readonly job: StripesJob;
  readonly view: StripesView;
  readonly n: number;
  readonly findings: StripFinding[];
}

/** Each strip by itself. False: a drive is not there. */
function verifyStrips(global: GlobalMemory, { job, view, n, findings }: Looking): boolean {
  const { level, shape } = view;
  const stripe = view.stripe(n);
  let whole = true;
  for (let position = 0; position < level.driveCount; position++) {
    const strip = view.strip(position, n);
    const role = level.role(stripe, position);
    if (strip === NO_STRIPS) whole = false;
    else if (!stripIsSound(global, strip, shape, view.place(n, role))) findings.push({ stripe, position, kind: "unsound" });
    else if (role >= 0) {
      for (let index = 0; index < shape.blocksPerStrip; index++) {
        if (blockProof(global, strip, shape, index, job.zone) !== "good")
          findings.push({ stripe, position, kind: "block", index });
      }
    }
  }
  return whole;
}

function verifyAgreement(global: GlobalMemory, { job, view, n, findings }: Looking): void {
  const { level, shape } = view;
  const { kernels } = global;
  const stripe = view.stripe(n);
  const stripOf = (role: number, copy = 0): Address => view.strip(level.positionOf(stripe, role, copy), n);
  const disagrees = (role: number, copy = 0): void => {
    findings.push({ stripe, position: level.positionOf(stripe, role, copy), kind: "disagrees" });
  };
  for (let copy = 1; copy < level.copies; copy++) {
    for (let column = 0; column < level.dataColumns; column++)
      if (kernels.firstDifference(stripOf(column, copy), stripOf(column), shape.stripBytes) >= 0) disagrees(column, copy);
  }
  if (level.parities === 0) return;
  const p = job.scratch;
  const q = job.scratch + shape.stripBytes;
  const last = level.dataColumns - 1;
  kernels.copy(p, stripOf(last), shape.parityBytes);
  kernels.copy(q, stripOf(last), shape.parityBytes);
  for (let column = last - 1; column >= 0; column--) {
    if (level.parities === 1) kernels.xor(p, stripOf(column), shape.parityBytes);
    else kernels.addToPq(p, q, stripOf(column), shape.parityBytes);
  }
  if (kernels.firstDifference(p, stripOf(ROLE_P), shape.parityBytes) >= 0) disagrees(ROLE_P);
  if (level.parities > 1 && kernels.firstDifference(q, stripOf(ROLE_Q), shape.parityBytes) >= 0) disagrees(ROLE_Q);
}
