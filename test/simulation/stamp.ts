/**
 * What a host puts into a sector: the number of its request, and where it belongs, in every one of its 16-byte pieces.
 */
export const SIM_SECTOR = 512;
const WORDS = SIM_SECTOR / 4;

function nameWord(name: string): number {
  let hash = 0x811c9dc5;
  for (let n = 0; n < name.length; n++) hash = Math.imul(hash ^ name.charCodeAt(n), 0x01000193);
  return hash | 1;
}

const names = new Map<string, number>();
function wordOf(name: string): number {
  let word = names.get(name);
  if (word === undefined) {
    word = nameWord(name);
    names.set(name, word);
  }
  return word;
}

export const stampWords = {
  write(words: Int32Array, at: number, name: string, sector: number, number: number): void {
    const where = wordOf(name) ^ sector;
    for (let n = at; n < at + WORDS; n += 4) {
      words[n] = number;
      words[n + 1] = where;
      words[n + 2] = ~number;
      words[n + 3] = (n - at) | 0;
    }
  },

  /** The request's number, 0 for zeros, or what is wrong. */
  read(words: Int32Array, at: number, name: string, sector: number): number | string {
    const number = words[at]!;
    if (number === 0) {
      for (let n = at; n < at + WORDS; n++) if (words[n] !== 0) return `begins with zeros and has ${words[n]} at word ${n - at}`;
      return 0;
    }
    const where = wordOf(name) ^ sector;
    for (let n = at; n < at + WORDS; n += 4) {
      if (words[n] !== number || words[n + 2] !== ~number || words[n + 3] !== n - at)
        return `is torn or foreign: ${number} at its start, ${words[n]} at word ${n - at}`;
      if (words[n + 1] !== where) return `has what belongs elsewhere (request ${number})`;
    }
    return number;
  },
} as const;
