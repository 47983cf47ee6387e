/**
 * The task table of a director's thread pool: name, input and result of each, and what does it.
 *
 * Runs on: pool threads (task.worker.ts). Tasks take addresses of global memory, never data, and keep nothing.
 */
import { reconstruct } from "../../src/raid/reconstruct.ts";
import { verifyStripes } from "../../src/raid/verify-stripes.ts";
import { touchFrames } from "./touch-frames.ts";

export const TASKS = { touchFrames, reconstruct, verifyStripes } as const;

export type TaskName = keyof typeof TASKS;
export type TaskInput<Name extends TaskName> = Parameters<(typeof TASKS)[Name]>[1];
export type TaskResult<Name extends TaskName> = ReturnType<(typeof TASKS)[Name]>;
export type TaskRequest = { readonly [Name in TaskName]: { readonly task: Name; readonly input: TaskInput<Name> } }[TaskName];
