/**
 * Status of all directors, asked for at most once at a time; whoever asks meanwhile shares the answer.
 *
 * Runs on: the control thread.
 */
import type { DirectorStatus } from "./contract.ts";
import { DirectorError, type DirectorLink } from "./director-link.ts";

/** A scrape or health check waits less long than a person does. */
const STATUS_SECONDS = 5;

export interface StatusAnswer {
  /** Of each director, in order; undefined where it has never answered. */
  readonly directors: readonly (DirectorStatus | undefined)[];
  /** Why the director's status is old or not there. */
  readonly failures: readonly (DirectorError | undefined)[];
}

export class StatusReader {
  private readonly links: readonly DirectorLink[];
  private readonly lastKnown: (DirectorStatus | undefined)[];
  private underWay: Promise<StatusAnswer> | undefined;

  constructor(links: readonly DirectorLink[]) {
    this.links = links;
    this.lastKnown = links.map(() => undefined);
  }

  /** Never throws: a director that does not answer shows its last known status and the failure. */
  read(): Promise<StatusAnswer> {
    this.underWay ??= this.readAll().finally(() => {
      this.underWay = undefined;
    });
    return this.underWay;
  }

  /** A status that was asked for after this call: what a change has just done is in it. */
  async readFresh(): Promise<StatusAnswer> {
    if (this.underWay !== undefined) await this.underWay;
    return this.read();
  }

  /** What is left of an ended director: no sessions, and of its pools those that nobody has taken over yet. */
  private withoutTaken(status: DirectorStatus, index: number): DirectorStatus {
    const taken = this.lastKnown.flatMap((other, place) => (place === index ? [] : (other?.pools ?? [])));
    return {
      ...status,
      portal: { ...status.portal, listening: false },
      pools: status.pools.filter((pool) => !taken.some((other) => other.index === pool.index)),
      sessions: [],
    };
  }

  private async readAll(): Promise<StatusAnswer> {
    const failures: (DirectorError | undefined)[] = this.links.map(() => undefined);
    await Promise.all(
      this.links.map(async (link, index) => {
        try {
          this.lastKnown[index] = (await link.request({ kind: "status" }, STATUS_SECONDS)) as DirectorStatus;
        } catch (error) {
          const failure = error instanceof DirectorError ? error : new DirectorError(link.director.name, "failed", String(error));
          failures[index] = failure;
        }
      }),
    );
    const directors = this.lastKnown.map((status, index) =>
      status !== undefined && failures[index]?.code === "gone" ? this.withoutTaken(status, index) : status,
    );
    return { directors, failures };
  }
}
