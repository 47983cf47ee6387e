/** The simulation's drive and journal file keep the contracts of the real ones. */
import { createEngineFixture } from "../simulation/engine-fixture.ts";
import { SimDrive, SimDriveState } from "../simulation/sim-drive.ts";
import { SimJournalFile, SimJournalState } from "../simulation/sim-journal.ts";
import { TEST_GEOMETRY, testGlobalMemory } from "../support/drive-fixtures.ts";
import { driveContract } from "./drive.ts";
import { JOURNAL_BYTES, journalFileContract } from "./journal-file.ts";

driveContract("SimDrive", async () => {
  const { engine, life, stop } = createEngineFixture(1);
  const { global } = testGlobalMemory();
  const state = new SimDriveState({ name: "s0", driveId: "id-s0", geometry: TEST_GEOMETRY });
  return {
    global,
    scratch: global.layout.staging[0]!,
    attach: () => new SimDrive({ state, global, engine, life, site: () => undefined }),
    restart: async () => state.crash("process", engine.random),
    dispose: async () => stop(),
  };
});

driveContract("SimDrive that loses its power at each restart", async () => {
  const { engine, life, stop } = createEngineFixture(2);
  const { global } = testGlobalMemory();
  const state = new SimDriveState({ name: "s1", driveId: "id-s1", geometry: TEST_GEOMETRY });
  return {
    global,
    scratch: global.layout.staging[0]!,
    attach: () => new SimDrive({ state, global, engine, life, site: () => undefined }),
    restart: async () => state.crash("power", engine.random),
    dispose: async () => stop(),
  };
});

journalFileContract("SimJournalFile", async () => {
  const { engine, life, stop } = createEngineFixture(3);
  const state = new SimJournalState(JOURNAL_BYTES);
  return {
    open: async () => new SimJournalFile({ state, engine, life, site: () => undefined }),
    dispose: async () => stop(),
  };
});
