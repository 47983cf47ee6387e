/** An engine that goes on by itself, in real turns, for tests that await: virtual time, real promises. */
import { Engine, type Life } from "./engine.ts";

export function createEngineFixture(seed: number): { engine: Engine; life: Life; stop: () => void } {
  const engine = new Engine(seed);
  const life: Life = { name: "test", dead: false };
  let stopped = false;
  const turn = (): void => {
    for (let n = 0; n < 100 && engine.step(); n++) if (engine.violation !== undefined) throw engine.violation;
    if (!stopped) setImmediate(turn);
  };
  setImmediate(turn);
  return {
    engine,
    life,
    stop: () => {
      stopped = true;
    },
  };
}
