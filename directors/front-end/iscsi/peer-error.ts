/**
 * The peer broke the protocol in a way that leaves its connection: answered by a Reject, a login status, or a close.
 */

/** RFC 7143 §11.17.1. */
export const REJECT_REASON = {
  dataDigestError: 0x02,
  snackReject: 0x03,
  protocolError: 0x04,
  commandNotSupported: 0x05,
  immediateCommandReject: 0x06,
  taskInProgress: 0x07,
  invalidPduField: 0x09,
  longOperationReject: 0x0a,
  waitingForLogout: 0x0c,
} as const;
export type RejectReason = (typeof REJECT_REASON)[keyof typeof REJECT_REASON];

/** Status class and detail in one number, §11.13.5. */
export const LOGIN_STATUS = {
  success: 0x0000,
  initiatorError: 0x0200,
  authenticationFailure: 0x0201,
  authorizationFailure: 0x0202,
  notFound: 0x0203,
  unsupportedVersion: 0x0205,
  tooManyConnections: 0x0206,
  missingParameter: 0x0207,
  cannotIncludeInSession: 0x0208,
  sessionTypeNotSupported: 0x0209,
  sessionDoesNotExist: 0x020a,
  invalidDuringLogin: 0x020b,
  targetError: 0x0300,
  serviceUnavailable: 0x0301,
  outOfResources: 0x0302,
} as const;
export type LoginStatus = (typeof LOGIN_STATUS)[keyof typeof LOGIN_STATUS];

/** Thrown while a login is worked on, caught where the Login Response is made. */
export class LoginError extends Error {
  readonly status: LoginStatus;
  constructor(status: LoginStatus, message: string) {
    super(message);
    this.name = "LoginError";
    this.status = status;
  }
}
