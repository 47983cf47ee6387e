/**
 * Which blocks of a volume the simulated hosts use: few, so that requests meet, in clusters far from each other, so that
 * they lie on many pages of the map. A spot is one of their sectors, counted through.
 *
 *   blocks   ····[cluster 0]··············[cluster 1]··············[cluster 2]····
 *   spots         0 … 8k−1                 8k … 16k−1               16k …
 */
const SECTORS_PER_BLOCK = 8;

export class Addresses {
  readonly clusters: number;
  readonly clusterBlocks: number;
  readonly strideBlocks: number;
  readonly blockCount: number;

  constructor(shape: { clusters: number; clusterBlocks: number; strideBlocks: number }) {
    this.clusters = shape.clusters;
    this.clusterBlocks = shape.clusterBlocks;
    this.strideBlocks = shape.strideBlocks;
    this.blockCount = shape.clusters * shape.strideBlocks;
  }

  get sectors(): number {
    return this.clusters * this.clusterBlocks * SECTORS_PER_BLOCK;
  }

  get clusterSectors(): number {
    return this.clusterBlocks * SECTORS_PER_BLOCK;
  }

  /** The volume's sector at a spot. Neighbours in a cluster are neighbours on the volume. */
  sectorOf(spot: number): number {
    const cluster = Math.floor(spot / this.clusterSectors);
    return this.#firstBlock(cluster) * SECTORS_PER_BLOCK + (spot % this.clusterSectors);
  }

  /** Within its stretch of the volume at a place of its own, over the border of two pages for some. */
  #firstBlock(cluster: number): number {
    return cluster * this.strideBlocks + Math.max(0, Math.min(this.strideBlocks - this.clusterBlocks, (cluster % 3) * 7));
  }
}
