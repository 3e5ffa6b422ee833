import { Fragment, type JSX } from "preact";
import { useState } from "preact/hooks";
import { formatAgo, formatBytes, formatTime } from "./format.js";
import type { BuildSummary, ReportedStep, StepState } from "./stats.js";
import { usePolled } from "./use-polled.js";

/** What a step's state is called. */
const STATES: Readonly<Record<StepState, string>> = {
  "hit-local": "here already",
  "hit-remote": "from the cache",
  waited: "waited for",
  ran: "ran",
  failed: "failed",
};

/** The latest builds; one is opened by its name. */
export function Builds({ now }: { readonly now: string }): JSX.Element {
  const { value, error } = usePolled<{ readonly builds: readonly BuildSummary[] }>("/builds?limit=20");
  const [open, setOpen] = useState<string>();
  const builds = value?.builds ?? [];
  return (
    <section id="builds">
      <div class="heading">
        <h2>Builds</h2>
        <span class={error === undefined ? "note" : "failure"}>{error?.message ?? "the latest first"}</span>
      </div>
      {builds.length === 0 ? <p class="empty">No build was reported yet: varve build --cache URL does it.</p> : null}
      <table>
        {builds.length === 0 ? null : <BuildsHead />}
        <tbody>
          {builds.map((build) => {
            const name = `${build.id} ${build.lane} ${build.principal}`;
            const isOpen = name === open;
            return (
              <Fragment key={name}>
                <BuildRow build={build} now={now} isOpen={isOpen} onToggle={() => setOpen(isOpen ? undefined : name)} />
                {isOpen ? <Steps id={build.id} /> : null}
              </Fragment>
            );
          })}
        </tbody>
      </table>
    </section>
  );
}

function BuildsHead(): JSX.Element {
  return (
    <thead>
      <tr>
        <th>project</th>
        <th>by</th>
        <th>steps</th>
        <th class="number">took</th>
        <th class="number">saved</th>
        <th class="number">when</th>
      </tr>
    </thead>
  );
}

interface BuildRowProps {
  readonly build: BuildSummary;
  readonly now: string;
  readonly isOpen: boolean;
  readonly onToggle: () => void;
}

function BuildRow({ build, now, isOpen, onToggle }: BuildRowProps): JSX.Element {
  return (
    <tr>
      <td>
        <button aria-expanded={isOpen} onClick={onToggle}>
          {build.project === "" ? build.id : build.project}
        </button>{" "}
        <span class="note">{build.target}</span>
        {build.outcome === "built" ? null : <div class="failure">{build.outcome}</div>}
      </td>
      <td>
        {build.principal} <div class="note">{build.lane}</div>
      </td>
      <td>{describeCounts(build.counts)}</td>
      <td class="number">{formatTime(build.duration)}</td>
      <td class="number">
        {formatTime(build.timeSaved)}
        <div class="note">{formatBytes(build.bytesSaved)}</div>
      </td>
      <td class="number">{formatAgo(build.receivedAt, now)}</td>
    </tr>
  );
}

function describeCounts(counts: BuildSummary["counts"]): string {
  const states = Object.keys(STATES) as StepState[];
  return states
    .filter((state) => counts[state] > 0)
    .map((state) => `${counts[state]} ${STATES[state]}`)
    .join(", ");
}

/** Why each step of the build ran, or where it came from. */
function Steps({ id }: { readonly id: string }): JSX.Element {
  const { value, error } = usePolled<{ readonly steps: readonly ReportedStep[] }>(`/builds/${id}`);
  return (
    <tr>
      <td colSpan={6}>
        {error === undefined ? null : <p class="failure">{error.message}</p>}
        <table class="steps">
          <tbody>
            {(value?.steps ?? []).map((step, position) => (
              <tr key={position}>
                <td class={`state ${step.state}`}>{STATES[step.state]}</td>
                <td>
                  <code>{step.name}</code>
                  {step.reason === undefined ? null : <div class="note">{step.reason}</div>}
                </td>
                <td class="number">{formatTime(step.duration)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </td>
    </tr>
  );
}
