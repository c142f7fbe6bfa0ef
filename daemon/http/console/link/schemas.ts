/** The schemas that the daemon publishes, for judging a body while it is written. */

import { Validator, type Schema } from "@cfworker/json-schema";
import { scanInParts, type Fault } from "../model/json/exact_json.ts";
import { faultsOf, placed, type Violation } from "../model/json/schema_paths.ts";

interface AsyncApi {
  readonly components: {
    readonly messages: Readonly<Record<string, { readonly payload: { readonly $ref: string } }>>;
    readonly schemas: Readonly<Record<string, Schema>>;
  };
}

let loading: Promise<AsyncApi> | null = null;
const validators = new Map<string, Validator>();

function document_(): Promise<AsyncApi> {
  loading ??= fetch("../asyncapi.json").then((answer) => answer.json() as Promise<AsyncApi>);
  loading.catch(() => {
    loading = null;
  });
  return loading;
}

export interface Judgement {
  readonly faults: readonly Fault[];
  /** The schema that was applied; empty where the body names none that is known. */
  readonly schema: string;
}

/** So many violations are told at most: a body that is wrong in every row is wrong in one way. */
const MOST_VIOLATIONS = 500;
/** A part of the work that nobody notices. */
const PART_MS = 8;

/**
 * JSON strictly first, then the schema that `kind` and `schema_version` in the text name; in parts, so that a key that
 * is pressed meanwhile does not wait. `goOn` is awaited between them: false ends it, and there is no judgement.
 *
 * A worker cannot do it: the page trusts no script but its own tags, and a worker's address would need a policy.
 */
export async function judge(text: string, kindOfSubject: string, goOn: () => Promise<boolean>): Promise<Judgement | null> {
  let began = performance.now();
  const scanned = await scanInParts(
    text,
    () => performance.now() - began > PART_MS,
    async () => {
      const going = await goOn();
      began = performance.now();
      return going;
    },
  );
  if (scanned === null || !(await goOn())) return null;
  if (!scanned.wellFormed) return { faults: scanned.faults, schema: "" };
  const value: unknown = JSON.parse(text);
  const name = schemaName(value, kindOfSubject);
  const validator = await validatorOf(name);
  if (!(await goOn())) return null;
  if (validator === null) {
    const unknown = placed([{ path: "schema_version", message: `There is no schema ${name}` }], text);
    return { faults: [...scanned.faults, ...unknown], schema: "" };
  }
  const violations = violationsOf(validator, value);
  if (!(await goOn())) return null;
  const faults = [...scanned.faults, ...faultsOf(violations, text)].sort((a, b) => a.offset - b.offset);
  return { faults, schema: name };
}

function schemaName(value: unknown, kindOfSubject: string): string {
  const named = value as { kind?: unknown; schema_version?: unknown; envelope_version?: unknown } | null;
  const kind = typeof named?.kind === "string" ? named.kind : kindOfSubject;
  const version = typeof named?.schema_version === "string" ? named.schema_version : "";
  return `${kind}-${version}${named?.envelope_version === 1 ? "-envelope-1" : ""}`;
}

function violationsOf(validator: Validator, value: unknown): readonly Violation[] {
  try {
    return validator.validate(value).errors.slice(0, MOST_VIOLATIONS);
  } catch {
    // A key that is no text, a lone surrogate, has no place that the library could name; strict JSON has marked it.
    return [];
  }
}

async function validatorOf(name: string): Promise<Validator | null> {
  const known = validators.get(name);
  if (known) return known;
  const { components } = await document_();
  const ref = components.messages[name]?.payload.$ref;
  if (ref === undefined) return null;
  const schema = { $ref: ref, components } as unknown as Schema;
  const made = new Validator(schema, "2020-12", false);
  validators.set(name, made);
  return made;
}
