/** What went wrong, in one shape, and what to do about it (the third column of docs/errors.md). */

export interface Detail {
  readonly path: string;
  readonly code: string;
  readonly message: string;
  readonly retry_after_ms?: number;
  readonly current_version?: number;
  readonly current_replay_number?: number;
}

export interface Problem {
  readonly code: string;
  readonly status?: number;
  readonly message: string;
  readonly trace_id?: string | null;
  readonly details?: readonly Detail[];
}

/** Codes of this page's own: what happened between it and the daemon. */
export const OFFLINE = "OFFLINE";
export const NO_ANSWER = "NO_ANSWER";
export const NOBODY_ANSWERS = "NOBODY_ANSWERS";
export const NOT_PERMITTED = "NOT_PERMITTED";
export const SIGNED_OUT = "SIGNED_OUT";

const WHAT_TO_DO: Readonly<Record<string, string>> = {
  VALIDATION_ERROR: "Mend: the details say what and where.",
  UNAUTHENTICATED: "Get a fresh token and sign in again.",
  CALLBACK_SIGNATURE_INVALID: "Sign the exact bytes of the body; check the secret and the clock.",
  FORBIDDEN: "Ask for the scope.",
  APPROVAL_REQUIRED: "Approve the newest version first.",
  RESOURCE_NOT_FOUND: "Check the id and whose token it is.",
  IDEMPOTENCY_CONFLICT: "Mend: a new record needs a new message_id; a correction is a new record.",
  EVENT_ID_PAYLOAD_MISMATCH: "Mend: each callback has an id of its own.",
  CALLBACK_OUT_OF_ORDER: "Let be: something newer is known.",
  STALE_ATTEMPT: "Let be, and stop working on it.",
  INVALID_TRANSITION: "Look at the state.",
  INVALID_STATE: "Wait, or look at the state.",
  VERSION_CONFLICT: "Read the newest, redo the change on it.",
  UPLOAD_CONFLICT: "Let be, or begin anew.",
  PAYLOAD_TOO_LARGE: "Mend: split it, or store the bytes elsewhere.",
  UNSUPPORTED_MEDIA_TYPE: "Mend.",
  UNSUPPORTED_CONTRACT_VERSION: "Mend, or upgrade the daemon.",
  RATE_LIMITED: "Wait as long as it says.",
  INTERNAL_ERROR: "Tell the operators; the cause is in the log under the trace id.",
  UPSTREAM_FAILED: "Wait.",
  UNAVAILABLE: "Wait.",
  [OFFLINE]: "It is connected again by itself.",
  [NO_ANSWER]: "Ask again: the same act is carried out once.",
  [NOBODY_ANSWERS]: "This daemon does not know the command yet, or none is running.",
  [NOT_PERMITTED]: "The NATS user of this session may not do this; see deploy/nats.",
};

export const whatToDo = (code: string): string => WHAT_TO_DO[code] ?? "";
