export { authFiles } from "./credentials.ts";
export { RegistryError, type RegistryErrorCode } from "./errors.ts";
export { openRepository, type Repository, type RepositoryOptions } from "./repository.ts";
