/** The API's answers as the CLI reads them: the types of the schemas that the API answers by. */
import type { Static } from "typebox";
import type * as schemas from "../api/schemas.ts";

export type System = Static<typeof schemas.System>;
export type Health = Static<typeof schemas.Health>;
export type Pool = Static<typeof schemas.Pool>;
export type Drive = Static<typeof schemas.Drive>;
export type DriveFaults = Static<typeof schemas.DriveFaultsView>;
export type Volume = Static<typeof schemas.Volume>;
export type LunMapping = Static<typeof schemas.LunMapping>;
export type Portal = Static<typeof schemas.Portal>;
export type Director = Static<typeof schemas.Director>;
export type Session = Static<typeof schemas.Session>;
export type Host = Static<typeof schemas.Host>;
export type HostList = Static<typeof schemas.HostList>;
export type Event = Static<typeof schemas.Event>;
