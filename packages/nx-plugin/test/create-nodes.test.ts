import { describe, expect, test } from "vitest";
import { createNodes, createNodesV2 } from "../src/create-nodes.ts";
import type { ImageTarget } from "../src/image-targets.ts";
import type { ImagePluginOptions } from "../src/plugin-options.ts";
import { workspace } from "./workspace.ts";

/** The targets of the one Dockerfile of a workspace. */
async function targetsOf(
  files: Readonly<Record<string, string | object>>,
  options: ImagePluginOptions = {},
  nxJson: { readonly targetDefaults?: unknown } = {},
): Promise<Readonly<Record<string, ImageTarget>>> {
  const names = Object.keys(files).filter((name) => name.endsWith("Dockerfile"));
  const context = { workspaceRoot: workspace(files), nxJsonConfiguration: nxJson };
  const [[, result] = ["", { projects: {} }]] = await createNodes[1](names, options, context);
  return Object.values(result.projects)[0]?.targets ?? {};
}

const API = { "services/api/package.json": { name: "@acme/Api" } };

describe("createNodes", () => {
  test("is what Nx takes, under both names", () => {
    expect(createNodes[0]).toBe("**/Dockerfile");
    expect(createNodesV2).toEqual(createNodes);
  });

  test("passes by Dockerfiles outside of projects", async () => {
    expect(await targetsOf({ "tools/Dockerfile": "FROM scratch\n" })).toEqual({});
  });

  test("infers a target that builds and one that pushes", async () => {
    const {
      image,
      "image-push": push,
      ...others
    } = await targetsOf({
      ...API,
      "services/api/Dockerfile": "FROM scratch\nCOPY src /src\n",
    });
    expect(others).toEqual({});
    expect(image?.options.command).toBe(
      "rm -rf dist/images/services/api && varve build --output type=oci,tar=false,dest=dist/images/services/api --output type=image --file services/api/Dockerfile --tag acme/api:latest services/api",
    );
    expect(image?.outputs).toEqual(["{workspaceRoot}/dist/images/services/api"]);
    expect(image?.inputs).toEqual([
      "{workspaceRoot}/services/api/Dockerfile",
      "{workspaceRoot}/services/api/src",
      "{workspaceRoot}/services/api/src/**/*",
      { dependentTasksOutputFiles: "**/*" },
    ]);
    expect(push?.dependsOn).toEqual(["image"]);
    expect(push?.options.command).toBe(
      "varve copy --all oci:dist/images/services/api:acme/api:latest docker://acme/api:latest",
    );
    expect(push?.cache).toBeUndefined();
  });

  test("takes its options", async () => {
    const targets = await targetsOf(
      { ...API, "services/api/Dockerfile": "FROM scratch\nCOPY libs/log/src /log\n" },
      {
        targetName: "docker",
        pushTargetName: "push",
        context: "workspace",
        tag: "registry.example.com/team/{projectName}:$VERSION",
        output: "out/{projectName}",
        args: ["--platform=linux/amd64,linux/arm64", "--label=a=b c"],
      },
    );
    expect(Object.keys(targets)).toEqual(["docker", "push"]);
    expect(targets["push"]?.dependsOn).toEqual(["docker"]);
    expect(targets["docker"]?.outputs).toEqual(["{workspaceRoot}/out/acme/api"]);
    expect(targets["docker"]?.options.command).toContain(
      '--tag registry.example.com/team/acme/api:$VERSION --platform=linux/amd64,linux/arm64 "--label=a=b c" .',
    );
    expect(targets["docker"]?.inputs).toContain("{workspaceRoot}/libs/log/src/**/*");
  });

  test("follows the project's config", async () => {
    const { image, "image-push": push } = await targetsOf({
      "services/api/package.json": {
        name: "api",
        varve: {
          context: "../..",
          tag: ["api:2", "registry.example.com:5000/api"],
          target: "app",
          buildArg: { PART: "api" },
          buildContext: { shared: "../../shared", base: "docker-image://alpine" },
        },
      },
      "services/api/Dockerfile": [
        "FROM scratch AS app",
        "ARG PART",
        "COPY services/$PART/src /src",
        "COPY --from=shared a.txt /",
        "FROM scratch",
        "COPY tests /tests",
      ].join("\n"),
    });
    expect(image?.options.command).toContain("--config services/api/package.json --file services/api/Dockerfile .");
    expect(push?.options.command).toBe(
      "varve copy --all oci:dist/images/services/api:api:2 docker://api:2 && varve copy --all oci:dist/images/services/api:registry.example.com:5000/api:latest docker://registry.example.com:5000/api:latest",
    );
    expect(image?.inputs).toEqual([
      "{workspaceRoot}/services/api/Dockerfile",
      "{workspaceRoot}/services/api/package.json",
      "{workspaceRoot}/shared/a.txt",
      "{workspaceRoot}/shared/a.txt/**/*",
      "{workspaceRoot}/services/api/src",
      "{workspaceRoot}/services/api/src/**/*",
      { dependentTasksOutputFiles: "**/*" },
    ]);
  });

  test("lets no ignore file take away what is copied from another context", async () => {
    const { image } = await targetsOf({
      "services/api/package.json": { name: "api", varve: { buildContext: ["docs=../../docs"], context: "../.." } },
      "services/api/Dockerfile": "FROM scratch\nCOPY . .\nCOPY --from=docs . .\n",
      ".dockerignore": "docs\n",
    });
    expect(JSON.stringify(image?.inputs)).not.toContain("!");
    expect(image?.inputs).toContain("{workspaceRoot}/docs/**/*");
  });

  test("knows a workspace that is one project", async () => {
    const { image } = await targetsOf({ "package.json": { name: "app" }, Dockerfile: "FROM scratch\nCOPY dist /\n" });
    expect(image?.outputs).toEqual(["{workspaceRoot}/dist/images/app"]);
    expect(image?.dependsOn).toEqual(["build"]);
    expect(image?.inputs).toContain("{workspaceRoot}/dist/**/*");
  });

  test("counts the config that varve finds above the context, and varve's version", async () => {
    const { image } = await targetsOf({
      ...API,
      "package.json": { devDependencies: { varve: "1.0.0" } },
      "varve.json": {},
      "services/api/Dockerfile": "FROM scratch\n",
    });
    expect(image?.inputs).toEqual([
      "{workspaceRoot}/services/api/Dockerfile",
      "{workspaceRoot}/varve.json",
      { dependentTasksOutputFiles: "**/*" },
      { externalDependencies: ["varve"] },
    ]);
    expect(image?.options.command).not.toContain("--config");
  });

  test.each(["FRM scratch\n", "FROM $NONE\nCOPY a /\n", ""])(
    "takes the whole context as the input of a Dockerfile that does not build: %j",
    async (dockerfile) => {
      const { image } = await targetsOf({ ...API, "services/api/Dockerfile": dockerfile });
      expect(image?.inputs).toContain("{workspaceRoot}/services/api/**/*");
    },
  );

  test("depends on the targets whose outputs are copied", async () => {
    const { image } = await targetsOf(
      {
        "services/api/project.json": { name: "api", targets: { bundle: { outputs: ["{projectRoot}/out/*.js"] } } },
        "libs/log/package.json": { name: "@acme/log" },
        "libs/db/project.json": { name: "db" },
        "libs/none/package.json": { name: "none" },
        "services/api/Dockerfile":
          "FROM scratch\nCOPY services/api/out/main.js libs/log/dist/ dist/libs/db libs/none/src libs/none/generated /app/\n",
      },
      { context: "workspace", buildTargets: ["build", "bundle"] },
      { targetDefaults: { bundle: { outputs: ["{projectRoot}/generated"] } } },
    );
    expect(image?.dependsOn).toEqual([
      { target: "build", projects: ["@acme/log"] },
      { target: "build", projects: ["db"] },
      "bundle",
      { target: "bundle", projects: ["none"] },
    ]);
  });
});
