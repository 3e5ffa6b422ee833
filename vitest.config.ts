import { defineConfig } from "vitest/config";

const conditions = ["@varve/source", "node", "import", "default"];
const resolve = { conditions };
const ssr = { resolve: { conditions, externalConditions: conditions } };

/** Where CI reads the counts from. */
const results = process.env["VARVE_TEST_RESULTS"];

export default defineConfig({
  test: {
    reporters: results === undefined ? ["default"] : ["default", ["json", { outputFile: results }]],
    projects: [
      {
        resolve,
        ssr,
        test: {
          name: "unit",
          include: ["packages/*/test/**/*.test.ts", "apps/*/test/**/*.test.ts"],
          testTimeout: 60_000,
        },
      },
      { resolve, ssr, test: { name: "workspace", include: ["test/*.test.ts"], testTimeout: 120_000 } },
      {
        resolve,
        ssr,
        test: {
          name: "e2e",
          include: ["test/e2e/**/*.test.ts"],
          testTimeout: 180_000,
          hookTimeout: 240_000,
          fileParallelism: false,
        },
      },
      {
        resolve,
        ssr,
        test: {
          name: "slow",
          include: ["test/slow/**/*.test.ts"],
          testTimeout: 1_200_000,
          hookTimeout: 600_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
