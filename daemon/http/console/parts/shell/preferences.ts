/** Theme and time zone, which are all that localStorage ever holds; and what lasts as long as the tab. */

import { computed, effect, signal } from "@preact/signals";
import { clockSkew } from "../../link/pulse.ts";
import type { Zone } from "../../model/time.ts";

export type Theme = "system" | "light" | "dark";
const THEMES: readonly Theme[] = ["system", "light", "dark"];

const kept = (key: string): string | null => localStorage.getItem(`headgate.${key}`);

export const theme = signal<Theme>(THEMES.find((each) => each === kept("theme")) ?? "system");
export const zone = signal<Zone>(kept("zone") === "utc" ? "utc" : "local");
export const singleKeys = signal(sessionStorage.getItem("headgate.keys") !== "off");
/** Pages of fifty instead of a window, for screen readers and find-in-page. */
export const plainPages = signal(sessionStorage.getItem("headgate.plain") === "on");

/** This machine's clock every few seconds, for ages. */
const ticking = signal(Date.now());
setInterval(() => {
  if (!document.hidden) ticking.value = Date.now();
}, 5_000);

/** Now by the daemon's clock. */
export const now = computed(() => ticking.value + clockSkew.value);

export const nextTheme = (): void => {
  theme.value = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length] ?? "system";
};

export const nextZone = (): void => {
  zone.value = zone.value === "utc" ? "local" : "utc";
};

export function keepPreferences(): void {
  effect(() => {
    localStorage.setItem("headgate.theme", theme.value);
    document.documentElement.dataset["theme"] = theme.value;
  });
  effect(() => localStorage.setItem("headgate.zone", zone.value));
  effect(() => sessionStorage.setItem("headgate.keys", singleKeys.value ? "on" : "off"));
  effect(() => sessionStorage.setItem("headgate.plain", plainPages.value ? "on" : "off"));
}
