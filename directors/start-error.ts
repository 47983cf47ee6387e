/** Why the array does not start: a message for people, and the status that the process exits with. */
export const EXIT_STATUS = {
  stopped: 0,
  /** A thread died, or something that must not happen did. */
  failed: 1,
  badConfiguration: 2,
  /** Another process holds the data folder. */
  locked: 3,
  /** The data folder's format is not ours, or its folder can't be used. */
  foreignFormat: 4,
  /** A second signal, or a stop that took too long. */
  stopCutOff: 5,
} as const;
export type ExitStatus = (typeof EXIT_STATUS)[keyof typeof EXIT_STATUS];

export class StartError extends Error {
  readonly exitStatus: ExitStatus;

  constructor(exitStatus: ExitStatus, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "StartError";
    this.exitStatus = exitStatus;
  }
}
