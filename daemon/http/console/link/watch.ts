/**
 * What comes by itself: pulses, events, and the status keys of what is on the screen. Hidden or paused, everything is
 * dropped; seen again or connected again, the present state is taken first.
 */

import { effect } from "@preact/signals";
import type { Msg, Subscription } from "@nats-io/nats-core";
import { parseShown } from "../model/json_tokens.ts";
import { connection, generation, hidden, linkState, paused } from "./connection.ts";
import { config } from "./session.ts";

export type Stop = () => void;

const bucket = (): string => `${(config.value?.prefix ?? "hg").toUpperCase()}_STATUS`;

/** Calls `onMessage` for what comes on `subject`, and `onResume` each time listening begins, also after a gap. */
export function listen(subject: () => string, onMessage: (message: Msg) => void, onResume?: () => void): Stop {
  let subscription: Subscription | null = null;
  const stop = effect(() => {
    void generation.value;
    const away = linkState.value !== "connected" || hidden.value || paused.value;
    subscription?.unsubscribe();
    subscription = null;
    const nc = connection();
    if (away || nc === null) return;
    subscription = nc.subscribe(subject(), {
      callback: (error, message) => {
        if (error === null) onMessage(message);
      },
    });
    onResume?.();
  });
  return () => {
    stop();
    subscription?.unsubscribe();
  };
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

/** Follows one key of the status bucket: subscribe, then get, so that nothing falls between. */
export function watchKey<V extends object>(key: string, onView: (view: V) => void): Stop {
  const subject = (): string => `$KV.${bucket()}.${key}`;
  const take = (message: Msg): void => {
    const view = viewIn<V>(message);
    if (view !== null) onView(view);
  };
  return listen(subject, take, () => {
    connection()
      ?.request(`$JS.API.DIRECT.GET.KV_${bucket()}.${subject()}`, "", { timeout: 5_000 })
      .then(take, () => undefined);
  });
}

/** Follows all keys under a prefix from now on: what lay there before is not told. */
export function watchKeys<V extends object>(prefix: string, onView: (view: V) => void): Stop {
  return listen(
    () => `$KV.${bucket()}.${prefix}.>`,
    (message) => {
      const view = viewIn<V>(message);
      if (view !== null) onView(view);
    },
  );
}

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
