/** Texts that are being edited, by letter: kept in the tab until they are sent or put back. */

import { hasSignedOut } from "../../link/session.ts";

const keyOf = (id: string): string => `headgate.draft.${id}`;

export const draftOf = (id: string): string | null => sessionStorage.getItem(keyOf(id));

export function keepDraft(id: string, text: string | null): void {
  if (hasSignedOut) return;
  try {
    if (text === null) sessionStorage.removeItem(keyOf(id));
    else sessionStorage.setItem(keyOf(id), text);
  } catch {
    // No room for a draft: the text stays in the editor.
  }
}
