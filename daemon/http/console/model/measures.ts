/** Figures of the wire whose names end in their unit, as people read them. */

import { usd } from "./money.ts";
import { milliseconds } from "./time.ts";

const MICROS = /^-?\d+$/;

/** `threshold` and `1 h` of `threshold_s` and 3600; null where the name tells no unit. */
export function measured(name: string, value: unknown): { readonly name: string; readonly figure: string } | null {
  if (typeof value !== "number" || value < 0) return null;
  const said = (unit: string): string => name.slice(0, -unit.length).replaceAll("_", " ");
  if (name.endsWith("_usd_micros")) return MICROS.test(String(value)) ? { name: said("_usd_micros"), figure: usd(dollars(value)) } : null;
  if (name.endsWith("_ms")) return { name: said("_ms"), figure: milliseconds(value) };
  if (name.endsWith("_s")) return { name: said("_s"), figure: milliseconds(value * 1000) };
  return null;
}

function dollars(micros: number): string {
  const digits = String(micros).padStart(7, "0");
  return `${digits.slice(0, -6)}.${digits.slice(-6)}`;
}
