/**
 * Makes the strips of one drive anew, many stripes at a time, from what the other drives have of them.
 *
 * A data strip is made in one way after the other (solve-strip.ts, or copy by copy), until each of its blocks proves itself
 * by its tag; blocks are taken from whichever way proved them. Parity is made of the data as they lie on the drives, after
 * strips that don't prove themselves were computed from the rest as far as there is parity for it.
 *
 * Pure: runs on any thread, on memory that is the caller's. A block that no way proves is said to be lost; what is left of
 * it in the strip can't be taken for it, as its checksum is wrong.
 */
import type { Address, GlobalMemory } from "../../drivers/shared-memory/global-memory.ts";
import { erasureChoices, solveStrip } from "./solve-strip.ts";
import { BlockMerge, stripIsSound, stripProves, writeStripHeader } from "./strip.ts";
import { NO_STRIPS, type StripesJob, StripesView } from "./stripes-job.ts";

export interface ReconstructJob extends StripesJob {
  /** Position whose strips are made; `strips` says where. */
  readonly target: number;
}

/** A block that could not be made. */
interface LostBlock {
  readonly stripe: number;
  readonly position: number;
  readonly index: number;
}

/** What was not as it should be: at most every block and every stripe of the job. */
export interface Reconstructed {
  /** Blocks that no way proves. */
  readonly lost: LostBlock[];
  /** Stripes whose new parity was made of data that don't all prove themselves, or can't be made: not as safe as others. */
  readonly doubtful: number[];
}

export function reconstruct(global: GlobalMemory, job: ReconstructJob): Reconstructed {
  const view = new StripesView(job);
  const lost: LostBlock[] = [];
  const doubtful: number[] = [];
  for (let n = 0; n < job.count; n++) {
    const stripe = view.stripe(n);
    const role = view.level.role(stripe, job.target);
    const strip = view.strip(job.target, n);
    if (strip === NO_STRIPS) throw new Error(`invariant: no place for the strips of position ${job.target}`);
    const target = { job, view, n, role, strip };
    if (role < 0) {
      if (!makeParity(global, target)) doubtful.push(stripe);
      continue;
    }
    const missing = view.level.parities === 0 ? fromCopies(global, target) : fromStripe(global, target);
    for (const index of missing) lost.push({ stripe, position: job.target, index });
  }
  return { lost, doubtful };
}

interface Target {
  readonly job: ReconstructJob;
  readonly view: StripesView;
  readonly n: number;
  readonly role: number;
  readonly strip: Address;
}

/** The first sound copy as it is, if all its blocks are; else block by block from all of them. */
function fromCopies(global: GlobalMemory, { job, view, n, role, strip }: Target): number[] {
  const { level, shape } = view;
  const merge = new BlockMerge(global, strip, shape, job.zone);
  const place = view.place(n, role);
  for (let copy = 0; copy < level.copies && !merge.isWhole; copy++) {
    const position = level.positionOf(place.stripe, role, copy);
    const source = position === job.target ? NO_STRIPS : view.strip(position, n);
    if (source !== NO_STRIPS && stripIsSound(global, source, shape, place)) merge.add(source);
  }
  writeStripHeader(global, strip, shape, place);
  return merge.missing;
}

/** From each way to compute it, until every block proves itself. */
function fromStripe(global: GlobalMemory, target: Target): number[] {
  const { job, view, n, role, strip } = target;
  const { shape } = view;
  const { gone, unsound, equation } = othersOf(global, target);
  const merge = new BlockMerge(global, strip, shape, job.zone);
  for (const erased of erasureChoices(view.level, gone, unsound)) {
    solveStrip({ ...equation, erased, out: job.scratch, scratch: job.scratch + shape.stripBytes });
    merge.add(job.scratch);
    if (merge.isWhole) break;
  }
  writeStripHeader(global, strip, shape, view.place(n, role));
  return merge.missing;
}

/**
 * Parity has no tags to prove itself by: so it is made of data that do, where they are enough, else of the data as they are,
 * as it is theirs block by block. False: then, or when it can't be made.
 */
function makeParity(global: GlobalMemory, target: Target): boolean {
  const { job, view, n, role, strip } = target;
  const { level, shape } = view;
  const { gone, there, unsound, addressOf, equation } = othersOf(global, target);
  if (gone.length > level.parities) {
    // Nothing is left that it could protect.
    global.kernels.fill(strip, 0, shape.stripBytes);
    return false;
  }
  const wrong = there.filter(
    (other) => other >= 0 && (unsound.includes(other) || !stripProves(global, addressOf(other), shape, job.zone)),
  );
  const [erased = gone] = erasureChoices(level, gone, wrong);
  solveStrip({ ...equation, erased, out: strip, scratch: job.scratch });
  writeStripHeader(global, strip, shape, view.place(n, role));
  return wrong.every((other) => erased.includes(other));
}

/** What there is of the stripe besides the target. */
function othersOf(global: GlobalMemory, { view, n, role }: Target) {
  const { level, shape } = view;
  const addressOf = (other: number): Address => view.strip(level.positionOf(view.stripe(n), other, 0), n);
  const others = level.roles.filter((other) => other !== role);
  const gone = [role, ...others.filter((other) => addressOf(other) === NO_STRIPS)];
  const there = others.filter((other) => !gone.includes(other));
  const unsound = there.filter((other) => !stripIsSound(global, addressOf(other), shape, view.place(n, other)));
  const equation = { kernels: global.kernels, level, bytes: shape.parityBytes, target: role, addressOf };
  return { gone, there, unsound, addressOf, equation };
}
