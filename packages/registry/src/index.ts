export { authFiles } from "./credentials.ts";
export { RegistryError, type RegistryErrorCode } from "./errors.ts";
export { openRepository, type Repository } from "./repository.ts";
export type { RegistrySettings } from "./settings.ts";
