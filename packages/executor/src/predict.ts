import type { FoundRecord } from "@varve/cache";
import { type BuildGraph, type FromStep, type Step, stepInputs } from "@varve/graph";
import { createSession } from "./build.ts";
import type { MissReason } from "./explain/miss-reason.ts";
import { orWarn } from "./explain/or-warn.ts";
import { createCheapKey } from "./keys.ts";
import { baseRootfs, createWork, type LayerStep, lookUp, rootfsLayer, type StepWork } from "./resolve.ts";
import { addLayer, type Rootfs } from "./rootfs.ts";
import type { BuildOptions, MadeLayer, Session } from "./session.ts";

/** Whether a build would find a step in the cache, and why not. */
export interface StepPrediction {
  readonly step: LayerStep;
  readonly outcome: "hit" | "miss";
  /** False where it depends on what a step beneath makes, or on layers that are not on this machine. */
  readonly certain: boolean;
  /** Of a miss. */
  readonly reason?: MissReason;
}

type Prediction = Omit<StepPrediction, "step">;

/** What is known of a step without running any: its prediction, and its rootfs where all beneath is in the cache. */
interface Outlook {
  readonly prediction: Prediction | undefined;
  readonly rootfs: Rootfs | undefined;
}

/** Predicts each step that makes a layer, inputs first. Nothing is run and no layer fetched; URLs of ADD are downloaded. */
export async function predict(
  graphs: readonly BuildGraph[],
  options: BuildOptions,
): Promise<readonly StepPrediction[]> {
  const steps = [...new Set(graphs.flatMap((graph) => graph.steps))];
  const session = createSession(steps, options, { packsEarly: false });
  const outlooks = new Map<Step, Outlook>();
  const predictions: StepPrediction[] = [];
  for (const step of steps) {
    options.signal.throwIfAborted();
    const outlook = step.kind === "from" ? lookAtBase(step, session) : await lookAhead(step, session, outlooks);
    outlooks.set(step, outlook);
    if (step.kind !== "from" && outlook.prediction !== undefined) predictions.push({ step, ...outlook.prediction });
  }
  for (const task of session.afterwards) await orWarn(task, options, "The next look reads the context again");
  return predictions;
}

function lookAtBase(step: FromStep, { explainer }: Session): Outlook {
  const rootfs = baseRootfs(step);
  explainer.resolved(step, rootfs.digest);
  return { prediction: undefined, rootfs };
}

async function lookAhead(step: LayerStep, session: Session, outlooks: ReadonlyMap<Step, Outlook>): Promise<Outlook> {
  const rootfsOf = async (other: Step): Promise<Rootfs> => {
    const rootfs = outlooks.get(other)?.rootfs;
    if (rootfs === undefined) throw new Error(`Cannot look ahead of step "${other.name}": it is not in the cache`);
    return rootfs;
  };
  const work = createWork(step, session, rootfsOf);
  const read = neededSteps(step).map((each) => outlooks.get(each)?.rootfs);
  const known = read.filter((rootfs) => rootfs !== undefined);
  const found = known.length < read.length ? "unknown" : await find(step, work, { session, read: known, rootfsOf });
  if (found === "unknown") return { prediction: await guess(step, work, session), rootfs: undefined };
  if (found === undefined) return { prediction: await miss(step, session, { certain: true }), rootfs: undefined };
  session.explainer.resolved(step, found.layer.contentDigest);
  const parent = outlooks.get(step.parent)?.rootfs;
  const rootfs = parent === undefined ? undefined : addLayer(parent, rootfsLayer(found, session));
  return { prediction: { outcome: "hit", certain: true }, rootfs };
}

/** The steps whose rootfs go into the key; a linked copy does not ask what it stands on. */
function neededSteps(step: LayerStep): readonly Step[] {
  const inputs = stepInputs(step);
  return step.kind === "copy" && step.link ? inputs.slice(1) : inputs;
}

interface Search {
  readonly session: Session;
  /** What goes into the cheap key. */
  readonly read: readonly Rootfs[];
  readonly rootfsOf: (step: Step) => Promise<Rootfs>;
}

/** The layer under the cheap or the precise key; `unknown` where the precise one needs layers that are not here. */
async function find(
  step: LayerStep,
  work: StepWork,
  { session, read, rootfsOf }: Search,
): Promise<MadeLayer | "unknown" | undefined> {
  const inputs = (): ReturnType<StepWork["inputs"]> => work.inputs();
  const cheap = await createCheapKey(await work.cheapParts(), rootfsOf);
  session.explainer.keyed(step, { keys: [cheap.key], inputs });
  const found = await lookUp(step, cheap, session);
  if (found !== undefined) return layerOf(found);
  if (work.preciseKey === undefined || step.noCache === true) return undefined;
  if (!(await areHere(read, session))) return "unknown";
  const precise = await work.preciseKey();
  session.explainer.keyed(step, { keys: [cheap.key, precise.key], inputs });
  const foundPrecise = await lookUp(step, precise, session);
  return foundPrecise === undefined ? undefined : layerOf(foundPrecise);
}

function layerOf({ record: { layer, createdAt } }: FoundRecord): MadeLayer | undefined {
  return layer === undefined ? undefined : { layer, createdAt };
}

async function areHere(rootfs: readonly Rootfs[], { options }: Session): Promise<boolean> {
  const layers = rootfs.flatMap((each) => each.layers);
  const found = await Promise.all(layers.map(({ layer }) => options.store.content.exists(layer.descriptor)));
  return found.every(Boolean);
}

/** A copy of what was copied before will most likely find the same destination; a RUN on something new runs. */
async function guess(step: LayerStep, work: StepWork, session: Session): Promise<Prediction> {
  session.explainer.keyed(step, { keys: [], inputs: () => work.inputs() });
  if (step.noCache === true) return miss(step, session, { certain: true });
  if (step.kind !== "run" && !(await session.explainer.isNew(step))) return { outcome: "hit", certain: false };
  return miss(step, session, { certain: false });
}

async function miss(
  step: LayerStep,
  { explainer }: Session,
  { certain }: { readonly certain: boolean },
): Promise<Prediction> {
  return { outcome: "miss", certain, reason: await explainer.reason(step) };
}
