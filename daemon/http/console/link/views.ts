/** The shapes of answers, as far as the console shows them. */

import type { Standing } from "../model/alerts.ts";
import type { Problem } from "../model/errors.ts";

export interface Page<T> {
  readonly items: readonly T[];
  readonly next_cursor: string | null;
}

export interface LetterGroup {
  readonly kind: string;
  readonly code: string;
  readonly paths: readonly string[];
  readonly producer: string | null;
  readonly count: number;
  readonly first_seen: string;
  readonly last_seen: string;
}

export interface LetterLine {
  readonly dead_letter_id: string;
  readonly state: string;
  readonly kind: string;
  readonly code: string;
  readonly message: string;
  readonly paths: readonly string[];
  readonly producer: string | null;
  readonly message_id: string | null;
  readonly trace_id: string | null;
  readonly subject: string;
  readonly replay_number: number;
  readonly bytes: number;
  readonly received_at: string;
  readonly updated_at: string;
}

export interface Change {
  readonly path: string;
  readonly change: string;
  readonly was?: unknown;
  readonly now?: unknown;
}

export interface Replay {
  readonly replay_number: number;
  readonly run_id: string;
  readonly principal: string;
  readonly requested_at: string;
  readonly outcome: string | null;
  readonly decided_at: string | null;
  readonly error: Problem | null;
  readonly edited: boolean;
  readonly reason?: string | null;
  readonly body?: string;
  readonly body_encoding?: string;
  readonly difference?: readonly Change[];
}

export interface Letter extends LetterLine {
  readonly error: Problem;
  readonly origin: {
    readonly stream: string;
    readonly subject: string;
    readonly sequence: number;
    readonly delivered: number;
    readonly received_at: string;
    readonly headers: Readonly<Record<string, string>>;
  };
  readonly body: string;
  readonly body_encoding: "utf-8" | "base64";
  readonly truncated?: boolean;
  readonly next_cursor: string | null;
  readonly replays: readonly Replay[];
}

export interface Run {
  readonly run_id: string;
  readonly operation: string;
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly principal: string;
  readonly trace_id: string | null;
  readonly status: string;
  readonly started_at: string;
  readonly ended_at: string | null;
  readonly result: unknown;
  readonly error: Problem | null;
  readonly daemon: string;
}

export interface RunItem {
  readonly id: string;
  readonly replay_number: number | null;
  readonly outcome: string | null;
  readonly reason?: string;
}

export interface Job {
  readonly job_id: string;
  readonly project_id: string;
  readonly owner?: string;
  readonly title: string;
  readonly status: string;
  readonly progress: number | null;
  readonly approved: boolean;
  readonly approved_by: string | null;
  readonly approved_at: string | null;
  readonly retry_of: string | null;
  readonly attempt: number;
  readonly instruction_id: string | null;
  readonly video_uri: string | null;
  readonly video_url: string | null;
  readonly estimated_cost_usd: string | null;
  readonly actual_cost_usd: string | null;
  readonly error: { readonly code: string; readonly message: string; readonly retryable: boolean } | null;
  readonly dispatches?: number;
  readonly version: number;
  readonly created_at: string;
  readonly updated_at: string;
}

export interface JobEvent {
  readonly version: number;
  readonly who: string;
  readonly what: string;
  readonly when: string;
  readonly from: string | null;
  readonly to: string | null;
  readonly details: Readonly<Record<string, unknown>>;
}

export interface Instruction {
  readonly instruction_id: string;
  readonly version: number;
  readonly latest_version: number;
  readonly blocks: readonly { readonly block_id: string; readonly type: string; readonly text: string }[];
  readonly validation_status: string;
  readonly issues: readonly { readonly code: string; readonly block_id?: string; readonly message: string }[];
  readonly created_by: string;
  readonly created_at: string;
}

export interface Alert extends Standing {
  readonly thresholds?: { readonly warning: string | number; readonly critical: string | number } | null;
  readonly history?: readonly AlertStep[];
}

export interface AlertStep {
  readonly at?: string;
  readonly what?: string;
  readonly severity?: string;
  readonly lifecycle?: string;
  readonly from?: unknown;
  readonly actor?: string | null;
  readonly reason?: string | null;
  readonly value?: string | number | null;
  readonly notifications?: readonly { readonly notifier: string; readonly state: string }[];
  readonly [more: string]: unknown;
}

export interface Provenance {
  readonly reported: string | number;
  readonly derived: string | number;
  readonly missing_count: number;
}

export interface Usage {
  readonly key: string | readonly string[];
  readonly requests: number;
  readonly errors: number;
  readonly input_tokens: number;
  readonly output_tokens: number;
  readonly runtime_ms: number;
  readonly cost_usd: string | null;
  readonly tokens: Provenance;
  readonly cost: Provenance;
}

export interface Session {
  readonly session_id: string;
  readonly agent: string;
  readonly model: string | null;
  readonly status: string;
  readonly started_at: string | null;
  readonly last_at: string;
  readonly events: number;
  readonly requests: number;
  readonly input_tokens: number;
  readonly output_tokens: number;
  readonly cost_usd: string | null;
  readonly tokens?: Provenance;
  readonly cost?: Provenance;
  readonly newest_events?: readonly SessionEvent[];
}

export interface SessionEvent {
  readonly at: string;
  readonly type: string;
  readonly agent?: string;
  readonly session_id?: string;
  readonly text?: string;
  readonly data?: unknown;
}

export interface Agent {
  readonly agent: string;
  readonly state: string;
  readonly model: string | null;
  readonly session_id: string | null;
  readonly last_heartbeat_at: string | null;
}

export interface Post {
  readonly post_id: string;
  readonly platform: string;
  readonly topic: string | null;
  readonly objective: string | null;
  readonly objective_value: number | null;
  readonly anomaly: boolean;
  readonly z: number | null;
  readonly [metric: string]: string | number | boolean | null;
}

export interface Step {
  readonly at: string;
  readonly what: string;
  readonly id?: string;
  readonly from?: string;
  readonly to?: string;
  readonly by?: string;
  readonly details?: unknown;
}

export interface Found {
  readonly what: string;
  readonly id: string;
  readonly kind?: string;
  readonly at: string;
  readonly label: string;
}

export interface Health {
  readonly status: string;
  readonly dependencies: Readonly<Record<string, { status: string; latency_ms: number | null; detail: string }>>;
}
