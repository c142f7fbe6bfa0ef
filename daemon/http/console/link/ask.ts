/** Commands: a request, and the answer that always comes. A repeated act bears the same `message_id` and is one act. */

import { headers as newHeaders, type Msg } from "@nats-io/nats-core";
import { parseShown } from "../model/json/json_tokens.ts";
import { NOBODY_ANSWERS, NOT_PERMITTED, NO_ANSWER, OFFLINE, SIGNED_OUT, type Problem } from "../model/errors.ts";
import { COMMANDS, type Command, type PayloadOf } from "./commands.ts";
import { connectedAt, connection, generation } from "./connection.ts";
import { config, credentials, type Credentials } from "./session.ts";

export type Answer<T> =
  | { readonly ok: true; readonly status: number; readonly result: T; readonly replayed: boolean }
  | { readonly ok: false; readonly problem: Problem };

export interface AskOptions {
  /** Kept over retries of one act. */
  readonly messageId?: string;
  /** Hears that it takes long: "no answer yet". */
  readonly onSlow?: (note: string) => void;
}

const TIMEOUT_MS = 5_000;
const MOST_TRIES = 6;
/** After an outage the page is back before the daemon is: that nobody answers then means nothing yet. */
const COMING_BACK_MS = 60_000;
/** How long a question whose connection broke waits for the next one. */
const RECONNECT_MS = 120_000;

/** The question may have been heard: it is asked again with the same id, and is one act. */
const BROKEN = "BROKEN";

export const newMessageId = (): string => `console:${crypto.randomUUID()}`;

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export async function ask<T, C extends Command = Command>(
  command: C,
  payload: PayloadOf<C>,
  { messageId = newMessageId(), onSlow }: AskOptions = {},
): Promise<Answer<T>> {
  const body = envelope(command, payload, messageId);
  const asker = credentials.peek();
  let sent = false;
  for (let tries = 1; ; tries++) {
    const isThere = (): boolean => credentials.peek() === asker;
    const answer = isThere() ? await once<T>(command, body) : null;
    // What somebody asked who has signed out is asked no more: whoever signs in next would be the one who asked it.
    if (answer === null || !isThere()) return failed(SIGNED_OUT, "Whoever asked this has signed out");
    if (answer.ok) return answer;
    sent ||= answer.problem.code !== OFFLINE;
    if (tries >= MOST_TRIES) return answer.problem.code === BROKEN ? failed(OFFLINE, answer.problem.message) : answer;
    const { code, details } = answer.problem;
    if ((code === NOBODY_ANSWERS || code === "UNAVAILABLE") && isComingBack()) {
      onSlow?.("the daemon is not back yet, asking again");
      tries--;
      await wait(1_000);
    } else if (code === BROKEN || (code === OFFLINE && sent)) {
      onSlow?.("the connection broke, asking again once it is back");
      if (!(await isBack(asker))) return failed(OFFLINE, answer.problem.message);
    } else if (code === NO_ANSWER) onSlow?.("no answer yet, asking again");
    else if (code === "RATE_LIMITED") {
      onSlow?.("asked too often, waiting");
      await wait(Math.min(details?.[0]?.retry_after_ms ?? 1_000, 30_000));
    } else return answer;
  }
}

const isComingBack = (): boolean => generation.peek() > 1 && Date.now() - connectedAt < COMING_BACK_MS;

/** Whether there is a connection again, within reason. */
async function isBack(asker: Credentials | null): Promise<boolean> {
  for (const until = Date.now() + RECONNECT_MS; Date.now() < until && credentials.peek() === asker; await wait(250))
    if (connection() !== null) return true;
  return false;
}

function envelope(command: Command, payload: object, messageId: string): string {
  return JSON.stringify({
    envelope_version: 2,
    kind: command,
    schema_version: "1.0",
    message_id: messageId,
    trace_id: crypto.randomUUID(),
    created_at: new Date().toISOString(),
    producer: "console",
    payload,
  });
}

async function once<T>(command: Command, body: string): Promise<Answer<T>> {
  const nc = connection();
  if (nc === null) return failed(OFFLINE, "There is no connection to NATS now");
  const subject = `${config.value?.prefix ?? "hg"}.${COMMANDS[command].family}.${command}`;
  const token = credentials.value?.token;
  const headers = newHeaders();
  if (token) headers.set("Authorization", `Bearer ${token}`);
  try {
    const reply = await nc.request(subject, body, { timeout: TIMEOUT_MS, ...(token ? { headers } : {}) });
    return read<T>(reply);
  } catch (error) {
    return failed(...reasonOf(error, subject));
  }
}

interface ReplyBody<T> {
  payload: { status: number; result?: T; error?: Problem; replayed?: boolean };
}

function read<T>(reply: Msg): Answer<T> {
  let payload: ReplyBody<T>["payload"];
  try {
    payload = (parseShown(reply.string()) as ReplyBody<T>).payload;
  } catch {
    return failed("INTERNAL_ERROR", "The answer could not be read");
  }
  if (payload.error) return { ok: false, problem: payload.error };
  return { ok: true, status: payload.status, result: payload.result as T, replayed: payload.replayed === true };
}

function reasonOf(error: unknown, subject: string): [string, string] {
  const text = String(error instanceof Error && error.cause ? `${error} ${error.cause}` : error);
  if (/no ?responders/i.test(text)) return [NOBODY_ANSWERS, `Nobody answers ${subject}`];
  if (/permission/i.test(text)) return [NOT_PERMITTED, `This session may not publish to ${subject}`];
  if (/timeout/i.test(text)) return [NO_ANSWER, `No answer on ${subject} yet`];
  return [BROKEN, "The connection broke before the answer came"];
}

const failed = (code: string, message: string): { ok: false; problem: Problem } => ({ ok: false, problem: { code, message } });
