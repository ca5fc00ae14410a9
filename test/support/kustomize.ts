/**
 * The part of kustomize that deploy/kubernetes and docs/kubernetes.md use, for machines without kubectl: bases,
 * components, ConfigMaps made of files, JSON patches, namespaces, images and labels. Fails on any other key.
 */
import { existsSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parse } from 'yaml';

export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };

export interface Resource {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string; labels?: Record<string, string> };
  [key: string]: unknown;
}

interface Operation {
  readonly op: string;
  readonly path: string;
  readonly value?: Json;
}

interface ConfigMap {
  readonly name: string;
  readonly behavior?: string;
  readonly files: readonly string[];
}

interface Kustomization {
  readonly namespace?: string;
  readonly resources?: readonly string[];
  readonly components?: readonly string[];
  readonly configMapGenerator?: readonly ConfigMap[];
  readonly generatorOptions?: { readonly disableNameSuffixHash: boolean; readonly labels?: Record<string, string> };
  readonly patches?: readonly {
    readonly target: { readonly kind: string; readonly name: string };
    readonly options?: { readonly allowKindChange: boolean };
    readonly patch: string;
  }[];
  readonly images?: readonly { readonly name: string; readonly newName?: string; readonly newTag?: string }[];
  readonly labels?: readonly { readonly pairs: Record<string, string> }[];
}

const KEYS = [
  'apiVersion',
  'kind',
  'namespace',
  'resources',
  'components',
  'configMapGenerator',
  'generatorOptions',
  'patches',
  'images',
  'labels',
];
const CLUSTER_KINDS = ['Namespace', 'PriorityClass'];

/** Copies, because anchors of YAML make one object occur twice. */
function copied<T>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T;
}

/** Applies one operation of RFC 6902. */
function operate(document: Json, { op, path, value }: Operation): void {
  const steps = path
    .slice(1)
    .split('/')
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
  const last = steps.pop()!;
  let place = document as Record<string, Json>;
  for (const step of steps) {
    const next = place[step];
    if (typeof next !== 'object' || next === null) throw new Error(`${path}: nothing at ${step}`);
    place = next as Record<string, Json>;
  }
  const isMissing = place[last] === undefined;
  if (op === 'add' && Array.isArray(place) && last === '-') place.push(copied(value!));
  else if (op === 'add' && !Array.isArray(place)) place[last] = copied(value!);
  else if (op === 'replace' && !isMissing) place[last] = copied(value!);
  else if (op === 'remove' && !isMissing && !Array.isArray(place)) delete place[last];
  else throw new Error(`${op} ${path}: expected an operation that applies`);
}

/** Adds the kustomization in `folder` to the resources, as the base of another one or as its component. */
function apply(folder: string, resources: Resource[]): void {
  const spec = parse(readFileSync(join(folder, 'kustomization.yaml'), 'utf8')) as Kustomization;
  const strange = Object.keys(spec).filter((key) => !KEYS.includes(key));
  if (strange.length > 0) throw new Error(`${folder}: expected only ${KEYS.join(', ')}, got ${strange.join(', ')}`);

  for (const name of spec.resources ?? []) {
    const path = join(folder, name);
    if (existsSync(join(path, 'kustomization.yaml'))) {
      const base: Resource[] = [];
      apply(path, base);
      resources.push(...base);
    } else {
      resources.push(copied(parse(readFileSync(path, 'utf8')) as Resource));
    }
  }
  for (const { name, behavior, files } of spec.configMapGenerator ?? []) {
    const data = Object.fromEntries(files.map((file) => [basename(file), readFileSync(join(folder, file), 'utf8')]));
    const before = resources.find((one) => one.kind === 'ConfigMap' && one.metadata.name === name);
    if ((before !== undefined) !== (behavior === 'replace')) throw new Error(`${folder}: ${name} has no such behavior`);
    if (before !== undefined) before['data'] = data;
    else if (spec.generatorOptions?.disableNameSuffixHash !== true) throw new Error(`${folder}: ${name} gets a hash`);
    else {
      const { labels } = spec.generatorOptions;
      const metadata = labels === undefined ? { name } : { name, labels: copied(labels) };
      resources.push({ apiVersion: 'v1', kind: 'ConfigMap', metadata, data });
    }
  }
  for (const name of spec.components ?? []) apply(join(folder, name), resources);

  for (const { target, patch } of spec.patches ?? []) {
    const kinds = new RegExp(`^(?:${target.kind})$`);
    const hits = resources.filter(({ kind, metadata }) => kinds.test(kind) && metadata.name === target.name);
    if (hits.length === 0) throw new Error(`${folder}: no ${target.kind} ${target.name} to patch`);
    for (const resource of hits) {
      for (const operation of parse(patch) as Operation[]) operate(resource as unknown as Json, operation);
    }
  }
  for (const resource of resources) {
    const { metadata, kind } = resource;
    if (spec.namespace !== undefined) {
      if (kind === 'Namespace') metadata.name = spec.namespace;
      else if (!CLUSTER_KINDS.includes(kind)) metadata.namespace = spec.namespace;
    }
    for (const { pairs } of spec.labels ?? []) metadata.labels = { ...metadata.labels, ...pairs };
    for (const { name, newName = name, newTag } of spec.images ?? []) {
      for (const container of podOf(resource)?.containers ?? []) {
        if (container.image.split(':')[0] !== name) continue;
        container.image = newTag === undefined ? newName : `${newName}:${newTag}`;
      }
    }
  }
}

/** The parts of a pod that tests look at. */
export interface Pod {
  readonly volumes: readonly { readonly name: string; readonly [source: string]: unknown }[];
  readonly containers: {
    image: string;
    readonly args: readonly string[];
    readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
    readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
    [key: string]: unknown;
  }[];
  readonly [key: string]: unknown;
}

/** The pod of a resource that makes pods. */
export function podOf(resource: Resource): Pod | undefined {
  const spec = resource['spec'] as { template?: { spec: Pod } } | undefined;
  return spec?.template?.spec;
}

/** The resources that `kubectl kustomize` makes of a folder. */
export function kustomized(folder: string): Resource[] {
  const resources: Resource[] = [];
  apply(folder, resources);
  return resources;
}
