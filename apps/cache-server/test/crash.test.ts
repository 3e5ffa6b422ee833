import { describeCrashes } from "./describe-crashes.ts";

// The slow suite kills it more often.
describeCrashes(1);
