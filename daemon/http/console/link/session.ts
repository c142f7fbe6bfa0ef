/**
 * Who is signed in. Kept in sessionStorage until sign-out: never in localStorage, an address, a cookie or a log. A
 * one-time code leaves the address before anything else happens.
 */

import { signal } from "@preact/signals";

export type SignIn = "link" | "password" | "creds" | "cookie";

export interface Config {
  readonly ws_url: string;
  readonly prefix: string;
  readonly inbox_prefix: string;
  readonly sign_in: readonly SignIn[];
  readonly auth: "none" | "jwt";
  readonly version: string;
}

export interface Credentials {
  readonly user?: string;
  readonly password?: string;
  readonly creds?: string;
  readonly token?: string;
  readonly wsUrl?: string;
}

const KEY = "headgate.session";

export const config = signal<Config | null>(null);
export const credentials = signal<Credentials | null>(null);
/** Whether the person has signed out: what a view would keep when it closes is not kept then. */
export let hasSignedOut = false;
/** Why a sign-in is asked for, where it is not the first. */
export const signInNotice = signal("");

/** The code in the address, taken out of it at once. */
function takeCode(): string | null {
  const found = /^#in=([A-Za-z0-9_-]+)$/.exec(location.hash);
  if (!found) return null;
  history.replaceState(null, "", `${location.pathname}#/now`);
  return found[1] ?? null;
}

/** Both answers are awaited side by side: a page that opens shows its first figures the sooner. */
export async function begin(): Promise<void> {
  const code = takeCode();
  const asked = fetch("config.json").then((answer) => answer.json() as Promise<Config>);
  const [told, given] = await Promise.all([asked, code === null ? null : exchange(code)]);
  config.value = told;
  if (given !== null) signIn(given);
  else if (code === null) credentials.value = kept() ?? (told.sign_in.includes("cookie") ? {} : null);
}

/** The credentials for a one-time code; null, and the reason as notice, where it is good no more. */
async function exchange(code: string): Promise<Credentials | null> {
  const answer = await fetch("session", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ code }),
    cache: "no-store",
  });
  if (!answer.ok) {
    signInNotice.value =
      answer.status === 429
        ? "Too many wrong codes: wait a minute, then ask for a new link."
        : "This link was used or is too old. Ask for a new one: headgate console";
    return null;
  }
  const given = (await answer.json()) as { user: string; password: string; ws_url: string };
  return { user: given.user, password: given.password, wsUrl: given.ws_url };
}

export function signIn(given: Credentials): void {
  hasSignedOut = false;
  sessionStorage.setItem(KEY, JSON.stringify(given));
  signInNotice.value = "";
  credentials.value = given;
}

/** By the person's own wish nothing stays. */
export function signOut(): void {
  hasSignedOut = true;
  sessionStorage.clear();
  signInNotice.value = "You have signed out.";
  credentials.value = null;
}

/** NATS or the daemon refused the credentials: they go, drafts stay for whoever signs in again in this tab. */
export function askToSignIn(notice: string): void {
  sessionStorage.removeItem(KEY);
  signInNotice.value = notice;
  credentials.value = null;
}

function kept(): Credentials | null {
  try {
    return JSON.parse(sessionStorage.getItem(KEY) ?? "null") as Credentials | null;
  } catch {
    return null;
  }
}
