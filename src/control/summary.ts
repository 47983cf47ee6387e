/** What the banner of a started array shows. */
import { joinAddress } from "../config/host-address.ts";
import type { ArrayState } from "./array-state.ts";
import type { ArraySummary, DirectorStatus } from "./contract.ts";
import type { Portals } from "./portals.ts";
import { portalView } from "./views.ts";

export function summaryOf(
  array: ArrayState,
  portals: Portals,
  statuses: readonly (DirectorStatus | undefined)[],
  firstStart: boolean,
  tokenFile: string | undefined,
): ArraySummary {
  const { config, document } = array;
  const pools = statuses.flatMap((status) => status?.pools ?? []).sort((a, b) => a.index - b.index);
  return {
    arrayId: document.arrayId,
    targetName: document.targetName,
    firstStart,
    apiUrl: `http://${joinAddress(config.api.host, config.api.port)}`,
    tokenFile,
    portals: config.directors.map((_, index) => portalView(config, portals, index, statuses[index])),
    pools: pools.map(({ name, state, drives }) => ({ name, state, driveCount: drives.length })),
    luns: document.luns.flatMap(({ lun, volume }) => {
      const known = array.volumes.get(volume);
      if (known === undefined) return [];
      const { name, sizeBytes } = known.document;
      return [{ lun, volume: name, sizeBytes, pool: config.pools[known.pool]!.name, owner: array.ownerName(known.pool) }];
    }),
  };
}
