/** Money is text from end to end: no figure passes through a binary fraction. */

/** `$0.42` of `0.420000`; no price where there is none, never $0. */
export function usd(amount: string | null | undefined): string {
  if (amount === null || amount === undefined) return "no price";
  const [whole = "0", fraction = ""] = amount.split(".");
  const digits = fraction.replace(/0+$/, "").padEnd(2, "0");
  return `$${whole.replace(/\B(?=(\d{3})+$)/g, ",")}.${digits}`;
}

/** Micro-dollars, for comparing and drawing. */
export function micros(amount: string | null | undefined): bigint {
  if (!amount) return 0n;
  const [whole = "0", fraction = ""] = amount.split(".");
  return BigInt(whole) * 1_000_000n + BigInt(fraction.padEnd(6, "0").slice(0, 6));
}

/** `81 %` of two counts; a dash where there is nothing to share. */
export function share(part: bigint, whole: bigint): string {
  return whole === 0n ? "–" : `${((Number(part) / Number(whole)) * 100).toFixed(0)} %`;
}
