/**
 * What comes by itself: pulses, events, and the status keys of what is on the screen. Hidden or paused, everything is
 * dropped; seen again or connected again, the present state is taken first.
 */

import { effect, untracked } from "@preact/signals";
import type { Msg, NatsConnection } from "@nats-io/nats-core";
import { parseShown } from "../model/json/json_tokens.ts";
import { connection, generation, hidden, linkState, paused } from "./connection.ts";
import { config } from "./session.ts";

export type Stop = () => void;

const bucket = (): string => `${(config.value?.prefix ?? "hg").toUpperCase()}_STATUS`;

/** Calls `begin` whenever the page is connected and looked at, and what that returned when it no longer is. */
export function whileHere(begin: (nc: NatsConnection) => Stop | void): Stop {
  return effect(() => {
    void generation.value;
    const away = linkState.value !== "connected" || hidden.value || paused.value;
    const nc = connection();
    return away || nc === null ? undefined : untracked(() => begin(nc));
  });
}

/** Calls `onMessage` for what comes on `subject`, and `onResume` each time listening begins, also after a gap. */
export function listen(subject: () => string, onMessage: (message: Msg) => void, onResume?: () => void): Stop {
  return whileHere((nc) => {
    const subscription = nc.subscribe(subject(), {
      callback: (error, message) => {
        if (error === null) onMessage(message);
      },
    });
    onResume?.();
    return () => subscription.unsubscribe();
  });
}

function viewIn<V>(message: Msg): V | null {
  if (message.headers?.hasError) return null;
  try {
    const text = message.string();
    return text === "" ? null : (parseShown(text) as V);
  } catch {
    return null;
  }
}

const viewed =
  <V extends object>(onView: (view: V) => void) =>
  (message: Msg): void => {
    const view = viewIn<V>(message);
    if (view !== null) onView(view);
  };

/** Asks for what lies under one key of the status bucket; where nothing does, nothing is told. */
export function getKey<V extends object>(key: string, onView: (view: V) => void): void {
  connection()
    ?.request(`$JS.API.DIRECT.GET.KV_${bucket()}.$KV.${bucket()}.${key}`, "", { timeout: 5_000 })
    .then(viewed(onView), () => undefined);
}

/** Follows one key: subscribe, then get, so that nothing falls between. */
export const watchKey = <V extends object>(key: string, onView: (view: V) => void): Stop =>
  listen(() => `$KV.${bucket()}.${key}`, viewed(onView), () => getKey(key, onView));

/** Follows all keys under a prefix from now on: what lay there before is not told. */
export const watchKeys = <V extends object>(prefix: string, onView: (view: V) => void): Stop =>
  listen(() => `$KV.${bucket()}.${prefix}.>`, viewed(onView));

/** Calls `onEvent` with the payload of each event under `rest`. */
export function listenToEvents<P>(rest: string, onEvent: (payload: P) => void, onResume?: () => void): Stop {
  return listen(
    () => `${config.value?.prefix ?? "hg"}.event.${rest}`,
    (message) => {
      const envelope = viewIn<{ payload: P }>(message);
      if (envelope !== null) onEvent(envelope.payload);
    },
    onResume,
  );
}
