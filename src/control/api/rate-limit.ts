/**
 * Requests a second from one address: a token bucket for each, filled at the rate, holding twice as much.
 *
 * Bounded: at most ADDRESSES_MAX buckets; the one that was used longest ago makes room, full or not.
 */
const ADDRESSES_MAX = 1024;

interface Bucket {
  tokens: number;
  atMilliseconds: number;
}

export class RateLimit {
  private readonly perSecond: number;
  private readonly buckets = new Map<string, Bucket>();

  constructor(perSecond: number) {
    this.perSecond = perSecond;
  }

  /** 0: go ahead; else the seconds to wait. */
  take(address: string, nowMilliseconds: number): number {
    const burst = this.perSecond * 2;
    const bucket = this.buckets.get(address) ?? { tokens: burst, atMilliseconds: nowMilliseconds };
    this.buckets.delete(address); // put back below as the latest
    if (this.buckets.size >= ADDRESSES_MAX) this.buckets.delete(this.buckets.keys().next().value!);
    this.buckets.set(address, bucket);
    const elapsedSeconds = Math.max(0, nowMilliseconds - bucket.atMilliseconds) / 1000;
    bucket.tokens = Math.min(burst, bucket.tokens + elapsedSeconds * this.perSecond);
    bucket.atMilliseconds = nowMilliseconds;
    if (bucket.tokens < 1) return Math.max(1, Math.ceil((1 - bucket.tokens) / this.perSecond));
    bucket.tokens -= 1;
    return 0;
  }
}
