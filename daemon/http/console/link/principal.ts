/** Who the caller is and may do, by `about`. Until it answers, nothing is taken to be forbidden: the daemon decides. */

import { computed, effect, signal } from "@preact/signals";
import { ask } from "./ask.ts";
import { generation, linkState } from "./connection.ts";
import { clockSkew } from "./pulse.ts";
import { askToSignIn, credentials } from "./session.ts";

export interface About {
  readonly principal: string;
  readonly scopes: readonly string[];
  readonly auth: string;
  readonly now: string;
  readonly version: string;
  readonly prefix: string;
  readonly daemon: { readonly id: string; readonly started_at: string };
  readonly limits?: { readonly max_bytes?: number; readonly max_payload?: number };
}

export const about = signal<About | null>(null);

export const may = (scope: string): boolean => about.value === null || about.value.scopes.includes(scope);
export const who = computed(() => about.value?.principal ?? "");

/** Asked once with each connection. */
export function followPrincipal(): void {
  effect(() => {
    void generation.value;
    if (credentials.value === null) about.value = null;
    if (linkState.value !== "connected") return;
    void ask<About>("about", {}).then((answer) => {
      if (!answer.ok) {
        if (answer.problem.code === "UNAUTHENTICATED") askToSignIn("The token is missing, wrong or has expired: sign in with a fresh one.");
        return;
      }
      about.value = answer.result;
      clockSkew.value = Date.parse(answer.result.now) - Date.now();
    });
  });
}
