/** Seeded chance, so that a case that fails comes again. */

export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export function pick<T>(chance: () => number, from: readonly T[]): T {
  const found = from[Math.floor(chance() * from.length)];
  if (found === undefined) throw new Error("nothing to pick from");
  return found;
}

export const NAUGHTY = ["", " ", 'a "b"', "a:b", "x y", "ключ", "\u202e", "\u0000", "a\\b", "%2F", "a&b=c", "+1", "#", "?", "null", "📦", "a,b", "'", "<b>", "{}"];
