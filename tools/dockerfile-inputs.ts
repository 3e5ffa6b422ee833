/** Inputs for whatever reads Dockerfiles: what people write, what breaks parsers, and both mixed. */
import fc from "fast-check";

const KEYWORDS =
  "ADD ARG CMD COPY ENTRYPOINT ENV EXPOSE FROM HEALTHCHECK LABEL MAINTAINER ONBUILD RUN SHELL STOPSIGNAL USER VOLUME WORKDIR".split(
    " ",
  );

/** Takes the place of a number that counts up, so that names differ. */
const NUMBER = "{n}";

/** Pieces of arguments, with a dot between them. */
const ARGUMENTS = [
  " ·\t·\v·\f·\u0085·\u00A0·\u2028·\uFEFF·\0·\uD800·é·😀·\r",
  "\\·`·\\\\·# ·#·'·\"·''·\\\"·\"'·$·$$·${·}·$a·$b·${a}·${b:-·${a:+·${a:?·${b#·${b##*·${b%·${b/·${b//",
  "/·*·?·[·]·[^·[a-·**/·!·=·,·:·;·@·-·--·<·<<·<<-·<<A·<<-'B'·<<\"A\"·3<<A·<<EOF",
  `a·b·a=b·b=1·"a b"=c·${NUMBER}·a${NUMBER}=1·$a${NUMBER}·s${NUMBER}·0·1·8080·8080/tcp·80-90/udp·1.5s·-1·99999999999999999999`,
  '/·/x·..·.·./·~·C:\\·["a", "b"]·["a"·[1]·[]·[[[[·"\\u0000"·SIGTERM·NONE·CMD ·AS ·as b',
  "--from=b ·--from=0 ·--from=context ·--link ·--link=no ·--chown=a:b ·--chmod=u+x ·--parents ·--exclude=*.md ",
  "--platform=$BUILDPLATFORM ·--platform=x/y/z/w ·--keep-git-dir ·--checksum=sha256:0 ·--unpack ·--device=x ",
  "--mount=type=cache,target=/c ·--mount=type=bind,from=b,source=/,target=/t ·--mount=type=secret,id=s,env=S ",
  '--mount=type=ssh ·--mount=type=tmpfs,target=/t,size=1g ·--mount=type=cache,"target=/a,b",sharing=locked ·--mount=',
  "--network=none ·--security=insecure ·--interval=1s ·--retries=3 ·https://example.com/a.tgz ",
  "git@example.com:a/b.git#v1:sub ·https://example.com/a.git?ref=x ",
].flatMap((line) => line.split("·"));

/** Pieces that end lines or stand at the start of one. */
const LINES = [
  "\n·\r\n·\\\n·\\ \n·`\n·\\\n#·\\\n\n·\nA\n·\n\tB\n·\nEOF\n·\n# escape=`\n·# syntax=a\n·# check=error=true\n",
  `FROM a\n·FROM a AS b\n·FROM b\n·FROM scratch\n·FROM context\n·FROM absent\n·FROM $b\n·FROM s${NUMBER} AS s${NUMBER}\n`,
].flatMap((line) => line.split("·"));

const argument = fc.constantFrom(...ARGUMENTS);
const piece = fc.constantFrom(...ARGUMENTS, ...LINES, ...KEYWORDS.map((keyword) => `\n${keyword} `));

/** One instruction whose arguments may be any. */
const instruction = fc
  .tuple(fc.constantFrom(...KEYWORDS), fc.array(argument, { maxLength: 6 }), fc.constantFrom("", " "))
  .map(([keyword, words, between]) => `${keyword} ${words.join(between)}\n`);

/** Text that is not far from a Dockerfile: most instructions are known, and most files have a stage. */
export const dockerfileText: fc.Arbitrary<string> = fc
  .tuple(
    fc.constantFrom("FROM a\n", "FROM a AS b\nFROM c\n", "ARG b=1\nFROM $b\n", "# escape=`\nFROM a\n", ""),
    fc.array(
      fc.oneof(
        { weight: 12, arbitrary: instruction },
        { weight: 1, arbitrary: piece },
        { weight: 1, arbitrary: fc.string({ maxLength: 5, unit: "binary" }) },
      ),
      { maxLength: 6 },
    ),
  )
  .map(([start, lines]) => start + lines.join(""));

/** Any bytes, some of them with a Dockerfile's words between. */
export const anyBytes: fc.Arbitrary<Uint8Array> = fc
  .array(fc.oneof(fc.uint8Array({ maxLength: 20 }), piece.map(bytesOf)), { maxLength: 20 })
  .map((parts) => Buffer.concat(parts));

/** One of `texts` with a few places cut, filled with other pieces, or both. */
export function mutated(texts: readonly string[]): fc.Arbitrary<string> {
  const change = fc.record({ at: fc.nat(), cut: fc.nat({ max: 20 }), insert: fc.oneof(fc.constant(""), piece) });
  return fc.tuple(fc.constantFrom(...texts), fc.array(change, { minLength: 1, maxLength: 4 })).map(([text, changes]) =>
    changes.reduce((before, { at, cut, insert }) => {
      const start = at % (before.length + 1);
      return before.slice(0, start) + insert + before.slice(start + cut);
    }, text),
  );
}

/** A start, a few pieces over and over, and an end. */
export interface Repetition {
  readonly start: string;
  readonly pieces: readonly string[];
  readonly end: string;
}

export const repetition: fc.Arbitrary<Repetition> = fc.record({
  start: fc
    .tuple(
      fc.constantFrom("FROM a", "FROM a AS b", "FROM scratch"),
      fc.constantFrom("", ...KEYWORDS.map((keyword) => `\n${keyword} `)),
      fc.constantFrom("", "a=", "[", '"', "${b", "--"),
    )
    .map((parts) => parts.join("")),
  pieces: fc.array(piece, { minLength: 1, maxLength: 4 }),
  end: fc.oneof(fc.constant(""), piece),
});

/** About `size` characters of a repetition. Lines stay below the length at which the parser refuses them. */
export function repeat({ start, pieces, end }: Repetition, size: number): string {
  const unit = pieces.join("");
  const line = unit.repeat(Math.ceil(1000 / unit.length));
  const block = unit.includes("\n") ? line : `${line}\\\n`;
  let count = 0;
  const body = block.repeat(Math.ceil(size / block.length)).replaceAll(NUMBER, () => String((count += 1)));
  return start + body + end;
}

function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
