import { expect, test } from "vitest";
import { compileTemplate } from "../src/go-template.ts";

const IMAGE = {
  Id: "sha256:abc",
  RepoTags: ["a:1", "b:2"],
  Config: { Env: ["A=1"], Labels: { who: "me", "org.x": "y" }, Cmd: null, Flag: true, Volumes: {} },
  Size: 12,
};

test.each([
  ["{{.Id}}", "sha256:abc"],
  ["id={{ .Id }};", "id=sha256:abc;"],
  ["{{json .RepoTags}}", '["a:1","b:2"]'],
  ["{{.RepoTags}} {{.Config.Labels}}", "[a:1 b:2] map[org.x:y who:me]"],
  ["{{index .RepoTags 1}}", "b:2"],
  ['{{index .Config.Labels "org.x"}}', "y"],
  ["{{.Config.Labels.who}}{{.Config.Labels.other}}", "me<no value>"],
  ["{{.Config.Cmd}}", "<nil>"],
  ["{{len .RepoTags}} {{len .Id}}", "2 10"],
  ["{{range .RepoTags}}<{{.}}>{{end}}", "<a:1><b:2>"],
  ["{{range .Config.Volumes}}x{{else}}none{{end}}", "none"],
  ["{{range .RepoTags}}{{println .}}{{end}}", "a:1\nb:2\n"],
  ["{{range .RepoTags}}{{$.Size}}{{end}}", "1212"],
  ["{{if .Config.Flag}}on{{else}}off{{end}}", "on"],
  ['{{if eq .Size 12}}twelve{{end}}{{if ne .Id "x"}}!{{end}}', "twelve!"],
  ["{{with .Config}}{{.Env}}{{end}}", "[A=1]"],
  ['{{join .RepoTags ", "}}', "a:1, b:2"],
  ["{{.Id | upper | printf}}", undefined],
  ["{{.Id | upper}}", "SHA256:ABC"],
  ['{{(index (split .Id ":") 1) | json}}', '"abc"'],
  ["a {{- .Size -}} b", "a12b"],
  ["{{/* a comment */}}x", "x"],
  ['{{print "{{"}}', "{{"],
  ["{{and .Config.Flag .Size}} {{or .Config.Cmd 7}} {{not .Config.Flag}}", "12 7 false"],
  ["plain", "plain"],
] as const)("%s gives %j", (template, expected) => {
  const render = (): string => compileTemplate(template)(IMAGE);
  if (expected === undefined) expect(render).toThrow('no function "printf"');
  else expect(render()).toBe(expected);
});

test.each([
  ["{{.Id", /not closed/],
  ["{{.ID}}", /no field "ID"/],
  ["{{range .RepoTags}}", /has no "{{end}}"/],
  ["{{end}}", /nothing before it/],
  ["{{}}", /empty/],
  ["{{index .RepoTags 9}}", /out of range/],
  ["{{nope .Id}}", /no function "nope"/],
  ["{{(.Id}}", /not closed/],
])("%s is refused", (template, message) => {
  expect(() => compileTemplate(template)(IMAGE)).toThrow(message);
});
