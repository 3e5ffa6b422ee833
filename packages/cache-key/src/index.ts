export { cacheKey, rootfsDigest, stepDigest, type StepDescription } from "./cache-key.ts";
export { canonicalJson, type Json } from "./canonical-json.ts";
export { type Difference, explainDifference, type Ingredients, ingredientsOf } from "./ingredients.ts";
