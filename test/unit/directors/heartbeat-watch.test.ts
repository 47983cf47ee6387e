import { describe, expect, test } from "vitest";
import { HeartbeatWatch, HEARTBEAT_AGE_MAX_MILLISECONDS as MAX } from "../../../directors/heartbeat-watch.ts";

function makeWatch() {
  const ages = { a: 0, b: 0 };
  const watch = new HeartbeatWatch(
    [
      { name: "a", ageMilliseconds: () => ages.a },
      { name: "b", ageMilliseconds: () => ages.b },
    ],
    0,
  );
  let now = 0;
  /** Checks each second for so long. */
  const checkFor = (milliseconds: number): string | undefined => {
    for (const end = now + milliseconds; now < end; ) {
      now += 1000;
      const stuck = watch.check(now);
      if (stuck !== undefined) return stuck;
    }
    return undefined;
  };
  const sleep = (milliseconds: number) => {
    now += milliseconds;
  };
  return { ages, checkFor, sleep };
}

describe("heartbeat watch", () => {
  test("names the thread that is stuck", () => {
    const { ages, checkFor } = makeWatch();
    expect(checkFor(2 * MAX)).toBeUndefined();
    ages.b = MAX;
    expect(checkFor(1000)).toBeUndefined();
    ages.b = MAX + 1;
    expect(checkFor(1000)).toBe("b");
  });

  test("gives threads time to start", () => {
    const { ages, checkFor } = makeWatch();
    ages.a = Number.POSITIVE_INFINITY;
    expect(checkFor(MAX - 1000)).toBeUndefined();
    expect(checkFor(1000)).toBe("a");
  });

  test("blames nobody when the whole process was held up", () => {
    const { ages, checkFor, sleep } = makeWatch();
    checkFor(2 * MAX);
    sleep(3_600_000);
    ages.a = 3_600_000;
    ages.b = 3_600_000;
    expect(checkFor(1000)).toBeUndefined();
    ages.a = 0;
    expect(checkFor(2 * MAX)).toBe("b");
  });
});
