/** First and last step of `npm run build`: `dist/.built` stands only for a build that succeeded. */
import { stampBuild, unstampBuild } from "./setup.mjs";

if (process.argv[2] === "begin") unstampBuild();
else stampBuild();
