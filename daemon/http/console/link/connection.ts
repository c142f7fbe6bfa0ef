/** The one connection to NATS: made again for ever, with backoff; given up only where the server refuses the user. */

import { credsAuthenticator, wsconnect, type ConnectionOptions, type NatsConnection } from "@nats-io/nats-core";
import { computed, effect, signal } from "@preact/signals";
import { askToSignIn, config, credentials, type Credentials } from "./session.ts";

export type LinkState = "connecting" | "connected" | "offline";

export const linkState = signal<LinkState>("connecting");
/** When the connection was last there, in milliseconds of this machine's clock. */
export const lastSeen = signal(Date.now());
export const paused = signal(false);
export const hidden = signal(document.hidden);
/** What the status line says. */
export const connectionWord = computed(() =>
  linkState.value !== "connected" ? "offline" : paused.value ? "paused" : "live",
);
/** Counts connections: what is watched is asked for anew with each. */
export const generation = signal(0);
/** When the present connection was made. */
export let connectedAt = 0;
/** A permission that the server refused, for the person to see. */
export const refusedPermission = signal("");

const BACKOFF_MS = [250, 500, 1000, 2000, 5000];

let current: NatsConnection | null = null;
let attempt = 0;

export const connection = (): NatsConnection | null => (linkState.value === "connected" ? current : null);

document.addEventListener("visibilitychange", () => {
  hidden.value = document.hidden;
});

/** Keeps a connection while somebody is signed in. */
export function keepConnected(): void {
  effect(() => {
    const given = credentials.value;
    const mine = ++attempt;
    void current?.close();
    current = null;
    linkState.value = "connecting";
    if (given !== null) void run(given, mine);
  });
}

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function run(given: Credentials, mine: number): Promise<void> {
  for (let tries = 0; mine === attempt; tries++) {
    try {
      const made = await wsconnect(options(given));
      if (mine !== attempt) return void made.close();
      tries = -1;
      current = made;
      up();
      await follow(made);
      const reason = await made.closed();
      if (reason && isRefusal(reason)) throw reason;
    } catch (error) {
      if (mine === attempt && isRefusal(error)) return askToSignIn(given.user || given.creds ? "NATS refused this user: sign in again." : "");
    }
    if (mine !== attempt) return;
    linkState.value = "offline";
    await wait((BACKOFF_MS[Math.min(Math.max(tries, 0), BACKOFF_MS.length - 1)] ?? 5000) * (0.75 + Math.random() / 2));
  }
}

function options(given: Credentials): ConnectionOptions {
  const { ws_url, inbox_prefix } = config.value ?? { ws_url: "", inbox_prefix: "_INBOX.console" };
  const address = new URL(given.wsUrl ?? ws_url, location.href.replace(/^http/, "ws")).href;
  return {
    servers: [address],
    name: "headgate console",
    inboxPrefix: inbox_prefix,
    ignoreClusterUpdates: true,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 500,
    reconnectJitter: 500,
    pingInterval: 10_000,
    timeout: 5_000,
    ...(given.user !== undefined && given.password !== undefined ? { user: given.user, pass: given.password } : {}),
    ...(given.creds !== undefined ? { authenticator: credsAuthenticator(new TextEncoder().encode(given.creds)) } : {}),
  };
}

function isRefusal(error: unknown): boolean {
  const name = error instanceof Error ? error.name : "";
  return /^(Authorization|UserAuthenticationExpired)Error$/.test(name) || /authorization violation/i.test(String(error));
}

function up(): void {
  linkState.value = "connected";
  connectedAt = lastSeen.value = Date.now();
  generation.value++;
}

async function follow(made: NatsConnection): Promise<void> {
  for await (const status of made.status()) {
    if (status.type === "disconnect" || status.type === "staleConnection") {
      lastSeen.value = Date.now();
      linkState.value = "offline";
    } else if (status.type === "reconnect") up();
    else if (status.type === "error" && /permissions violation/i.test(String(status.error)))
      refusedPermission.value = String(status.error.message);
  }
}
