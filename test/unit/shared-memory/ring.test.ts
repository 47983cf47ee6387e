import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { channelRing, RING_WORD, SLOT_WORDS } from "../../../drivers/shared-memory/layout.ts";
import { RingConsumer, RingProducer } from "../../../drivers/shared-memory/ring.ts";
import { testGlobalMemory } from "../../support/global-memory.ts";

const SLOTS = 8;

function testRing() {
  const { global } = testGlobalMemory({ channelRingSlots: SLOTS });
  const place = channelRing(global.layout, 0, 1);
  return { global, place, i32: global.i32, producer: new RingProducer(global, place), consumer: new RingConsumer(global, place) };
}

function send({ producer, i32 }: ReturnType<typeof testRing>, value: number): boolean {
  const slot = producer.tryReserve();
  if (slot < 0) return false;
  for (let word = 0; word < SLOT_WORDS; word++) i32[slot + word] = value + word;
  producer.publish();
  return true;
}

function receive({ consumer, i32 }: ReturnType<typeof testRing>): number | undefined {
  const slot = consumer.peek();
  if (slot < 0) return undefined;
  const value = i32[slot]!;
  for (let word = 0; word < SLOT_WORDS; word++) expect(i32[slot + word]).toBe(value + word);
  consumer.advance();
  return value;
}

describe("ring, one thread", () => {
  test("is empty when made, and both ends say so", () => {
    const ring = testRing();
    expect(ring.consumer.peek()).toBe(-1);
    expect(ring.consumer.size).toBe(0);
    expect(ring.producer.size).toBe(0);
  });

  test("shows a slot only after it was published, and shows it again until it is given back", () => {
    const ring = testRing();
    const slot = ring.producer.tryReserve();
    expect(ring.producer.tryReserve()).toBe(slot);
    expect(ring.consumer.peek()).toBe(-1);
    ring.producer.publish();
    expect(ring.consumer.peek()).toBe(slot);
    expect(ring.consumer.peek()).toBe(slot);
    ring.consumer.advance();
    expect(ring.consumer.peek()).toBe(-1);
  });

  test("takes as many as it has slots, then refuses until one is given back", () => {
    const ring = testRing();
    for (let i = 0; i < SLOTS; i++) expect(send(ring, i)).toBe(true);
    expect(send(ring, 99)).toBe(false);
    expect(ring.producer.size).toBe(SLOTS);
    expect(receive(ring)).toBe(0);
    expect(send(ring, SLOTS)).toBe(true);
    expect(send(ring, 99)).toBe(false);
    for (let i = 1; i <= SLOTS; i++) expect(receive(ring)).toBe(i);
    expect(receive(ring)).toBeUndefined();
  });

  test("behaves as a bounded queue does, whatever the order of calls", () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { maxLength: 200 }), (calls) => {
        const ring = testRing();
        const queue: number[] = [];
        let next = 0;
        for (const isSend of calls) {
          if (isSend) {
            expect(send(ring, next)).toBe(queue.length < SLOTS);
            if (queue.length < SLOTS) queue.push(next);
            next++;
          } else expect(receive(ring)).toBe(queue.shift());
          expect(ring.consumer.size).toBe(queue.length);
          expect(ring.producer.size).toBe(queue.length);
        }
      }),
      { numRuns: 50 },
    );
  });

  test.each([-3, 2 ** 31 - 3, -(2 ** 31)])("goes on when head and tail wrap at 2^32 (from %d)", (start) => {
    const { global, place } = testRing();
    global.i32[place.address / 4 + RING_WORD.head] = start;
    global.i32[place.address / 4 + RING_WORD.tail] = start;
    const ring = {
      global,
      place,
      i32: global.i32,
      producer: new RingProducer(global, place),
      consumer: new RingConsumer(global, place),
    };
    for (let i = 0; i < SLOTS; i++) expect(send(ring, i)).toBe(true);
    expect(send(ring, 99)).toBe(false);
    expect(ring.producer.size).toBe(SLOTS);
    for (let i = 0; i < SLOTS; i++) expect(receive(ring)).toBe(i);
    expect(receive(ring)).toBeUndefined();
    expect(send(ring, 100)).toBe(true);
    expect(receive(ring)).toBe(100);
  });

  test("stays inside its region, and apart from the ring beside it", () => {
    const ring = testRing();
    const other = channelRing(ring.global.layout, 1, 0);
    const from = ring.place.address / 4;
    const to = from + (256 + SLOTS * 128) / 4;
    for (let i = 0; i < 3 * SLOTS; i++) {
      const slot = ring.producer.tryReserve();
      expect(slot).toBeGreaterThanOrEqual(from + 64);
      expect(slot + SLOT_WORDS).toBeLessThanOrEqual(to);
      ring.producer.publish();
      ring.consumer.peek();
      ring.consumer.advance();
    }
    expect(new RingConsumer(ring.global, other).size).toBe(0);
  });
});

describe("ring, an end that is made anew", () => {
  test("goes on where the last one stood", () => {
    const ring = testRing();
    send(ring, 1);
    send(ring, 2);
    receive(ring);
    const again = {
      ...ring,
      producer: new RingProducer(ring.global, ring.place),
      consumer: new RingConsumer(ring.global, ring.place),
    };
    send(again, 3);
    expect(receive(again)).toBe(2);
    expect(receive(again)).toBe(3);
  });

  test("can throw away what the dead producer left", () => {
    const ring = testRing();
    for (let i = 0; i < SLOTS; i++) send(ring, i);
    receive(ring);
    expect(ring.consumer.discard()).toBe(SLOTS - 1);
    expect(receive(ring)).toBeUndefined();
    expect(ring.consumer.discard()).toBe(0);
    for (let i = 0; i < SLOTS; i++) expect(send(ring, 10 + i)).toBe(true);
    expect(receive(ring)).toBe(10);
  });

  test("refuses a place where no such ring is", () => {
    const { global, place } = testRing();
    expect(() => new RingProducer(global, { ...place, slots: 16 })).toThrow("no ring of 16 slots");
    expect(() => new RingConsumer(global, { address: global.layout.frames, slots: SLOTS })).toThrow("no ring of 8 slots");
  });
});
