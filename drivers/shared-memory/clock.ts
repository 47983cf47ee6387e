/** One time base in global memory for all threads (US 8,468,524). (Contract: the driver completes it.) */
export interface Clock {
  /** Microseconds since the array started, comparable between threads; costs well under a microsecond. */
  nowMicroseconds(): number;
}
