/**
 * The manifests in deploy/kubernetes: every combination of overlays and components against the schemas of Kubernetes,
 * against itself, and against the server, which runs with the config and the arguments of its pod.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse, parseAllDocuments, stringify } from 'yaml';
import { PROMETHEUS_RULE, prometheusRuleText } from '../grafana/src/prometheus-rule.ts';
import { readConfig } from '../src/config/config-file.ts';
import { defaultOf } from '../src/config/setting.ts';
import { SETTINGS } from '../src/config/settings.ts';
import { schemaFaults } from './support/kubernetes-schema.ts';
import { type Json, kustomized, type Pod, podOf, type Resource } from './support/kustomize.ts';
import { blocks, read, ROOT } from './support/pages.ts';
import { folder, type OnTestFinished, Reveille } from './support/reveille.ts';

const MANIFESTS = join(ROOT, 'deploy/kubernetes');
const OVERLAYS = ['deployment', 'daemonset'] as const;
const COMPONENTS = [[], ['api'], ['monitoring'], ['api', 'monitoring']] as const;
const COMBINATIONS = OVERLAYS.flatMap((overlay) =>
  COMPONENTS.map((components) => [[overlay, ...components].join(' with '), overlay, components] as const),
);
const TOKEN = '0123456789abcdef';
/** kubectl refuses annotations beyond this, and its own contains the whole resource (in bytes). */
const MAX_ANNOTATIONS = 262_144;
const NAMES = { 'app.kubernetes.io/name': 'reveille' };
/** Secrets that docs/kubernetes.md creates. */
const SECRETS = ['reveille-token'];

const hasKubectl = spawnSync('kubectl', ['kustomize', '--help'], { stdio: 'ignore' }).status === 0;

/** A kustomization in a temporary folder, as an operator writes it beside the repository. */
function site(overlay: string, components: readonly string[]): string {
  const place = folder();
  const pathTo = (name: string): string => relative(place, join(MANIFESTS, name));
  const spec = { resources: [pathTo(overlay)], components: components.map(pathTo) };
  writeFileSync(join(place, 'kustomization.yaml'), stringify(spec));
  return place;
}

function only(resources: readonly Resource[], kind: string, name = 'reveille'): Resource {
  const found = resources.filter((one) => one.kind === kind && one.metadata.name === name);
  expect(found, `one ${kind} ${name}`).toHaveLength(1);
  return found[0]!;
}

/** The resource that makes pods, and its pod. */
function workloadOf(resources: readonly Resource[]): { workload: Resource; pod: Pod } {
  const found = resources.filter((one) => podOf(one) !== undefined);
  expect(found).toHaveLength(1);
  return { workload: found[0]!, pod: podOf(found[0]!)! };
}

function at(value: unknown, ...path: readonly (string | number)[]): Json | undefined {
  return path.reduce<unknown>((inner, key) => (inner as Record<string, unknown> | undefined)?.[key], value) as Json;
}

function textAt(value: unknown, ...path: readonly (string | number)[]): string {
  const text = at(value, ...path);
  if (typeof text !== 'string') throw new Error(`${path.join('/')}: expected a text`);
  return text;
}

function sortedByName(resources: readonly Resource[]): Resource[] {
  const key = ({ kind, metadata }: Resource): string => `${kind} ${metadata.name}`;
  return resources.toSorted((a, b) => (key(a) < key(b) ? -1 : 1));
}

function fromKubectl(place: string): Resource[] {
  const said = execFileSync('kubectl', ['kustomize', place], { encoding: 'utf8' });
  return parseAllDocuments(said).map((document) => document.toJS() as Resource);
}

/** Names of what the pod's volumes come from, by kind. */
function sourcesOf({ volumes }: Pod): { configMaps: Json[]; claims: Json[]; secrets: Json[] } {
  const named = (...path: string[]): Json[] => volumes.flatMap((volume) => at(volume, ...path) ?? []);
  return {
    configMaps: named('configMap', 'name'),
    claims: named('persistentVolumeClaim', 'claimName'),
    secrets: named('secret', 'secretName'),
  };
}

describe.each(COMBINATIONS)('%s', (_, overlay, components) => {
  const rendered = (): Resource[] => kustomized(site(overlay, components));

  it('is what the APIs of Kubernetes and the Prometheus operator accept', () => {
    const resources = rendered();
    expect(resources.flatMap((resource) => schemaFaults(resource))).toEqual([]);
  });

  it.skipIf(!hasKubectl)('is rendered by kubectl as by these tests', () => {
    const place = site(overlay, components);
    expect(sortedByName(kustomized(place))).toEqual(sortedByName(fromKubectl(place)));
  });

  it('has names that lead somewhere', () => {
    const resources = rendered();
    const { workload, pod } = workloadOf(resources);
    const [container] = pod.containers;
    const names = (kind: string): string[] =>
      resources.filter((one) => one.kind === kind).map(({ metadata }) => metadata.name);

    const used = sourcesOf(pod);
    expect(names('ConfigMap')).toEqual(expect.arrayContaining(used.configMaps));
    expect(names('PersistentVolumeClaim')).toEqual(used.claims);
    expect(SECRETS).toEqual(expect.arrayContaining(used.secrets));
    expect(names('PriorityClass')).toEqual([pod['priorityClassName']]);
    expect(names('ServiceAccount')).toEqual([pod['serviceAccountName']]);
    expect(container!.volumeMounts.map(({ name }) => name)).toEqual(pod.volumes.map(({ name }) => name));
    expect(new Set(container!.volumeMounts.map(({ mountPath }) => mountPath)).size).toBe(pod.volumes.length);

    expect(at(workload, 'spec', 'template', 'metadata', 'labels')).toEqual(NAMES);
    for (const one of [workload, only(resources, 'PodDisruptionBudget')])
      expect(at(one, 'spec', 'selector', 'matchLabels')).toEqual(NAMES);
    const ports = container!.ports.map(({ name }) => name);
    for (const probe of ['startupProbe', 'livenessProbe', 'readinessProbe'])
      expect(ports).toContain(at(container, probe, 'httpGet', 'port'));
    const ours = resources.filter(({ kind }) => kind !== 'Namespace' && kind !== 'PriorityClass');
    expect(new Set(ours.map(({ metadata }) => metadata.namespace))).toEqual(new Set(['reveille']));
  });

  it('gives the pod the host’s network and one capability', () => {
    const { pod } = workloadOf(rendered());
    expect([pod['hostNetwork'], pod['hostPID'], pod['automountServiceAccountToken']]).toEqual([true, undefined, false]);
    expect(pod['securityContext']).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
    expect(pod.containers[0]!['securityContext']).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'], add: ['NET_BIND_SERVICE'] },
    });
  });
});

describe.each(OVERLAYS)('the %s', (overlay) => {
  it('agrees with its config: addresses, folders, drain time', () => {
    const { pod } = workloadOf(kustomized(join(MANIFESTS, overlay)));
    const [container] = pod.containers;
    const { values } = readConfig(join(MANIFESTS, overlay, 'reveille.yaml'));
    const ports = Object.fromEntries(container!.ports.map(({ name, containerPort }) => [name, containerPort]));
    expect(new Set(values.listen!.map(({ port }) => port))).toEqual(new Set([ports['tftp']]));
    expect(values.admin).toEqual({ address: '127.0.0.1', port: ports['admin'] });
    const mounts = container!.volumeMounts.map(({ mountPath }) => mountPath);
    expect(mounts).toContain(overlay === 'deployment' ? values.store : values.root);
    const drain = values.drainMs ?? defaultOf(SETTINGS.drainMs);
    expect(Number(pod['terminationGracePeriodSeconds']) * 1000).toBeGreaterThan(drain + 10_000);
  });

  it('has a disruption budget that Kubernetes accepts for its kind', () => {
    const resources = kustomized(join(MANIFESTS, overlay));
    const { selector: _, ...budget } = at(only(resources, 'PodDisruptionBudget'), 'spec') as Record<string, Json>;
    const wanted = {
      // The eviction API has no other numbers for pods of a DaemonSet.
      daemonset: { kind: 'DaemonSet', budget: { minAvailable: 1, unhealthyPodEvictionPolicy: 'AlwaysAllow' } },
      deployment: { kind: 'Deployment', budget: { maxUnavailable: 0, unhealthyPodEvictionPolicy: 'AlwaysAllow' } },
    }[overlay];
    expect({ kind: workloadOf(resources).workload.kind, budget }).toEqual(wanted);
  });
});

/** The description of the container image, once its sources are here. */
const IMAGE = join(ROOT, 'packaging/image/description.ts');

interface ImageDescription {
  readonly USER: { readonly id: number };
  readonly CONFIG: string;
  readonly STORE: string;
  readonly FILES: string;
  readonly RUN_CONFIG: { readonly Cmd: readonly string[] };
}

describe.skipIf(!existsSync(IMAGE))('the image', () => {
  it('has the user, the folders and the command that the pods expect', async () => {
    const image = (await import(IMAGE)) as ImageDescription;
    for (const overlay of OVERLAYS) {
      const { pod } = workloadOf(kustomized(join(MANIFESTS, overlay)));
      const { id } = image.USER;
      expect(pod['securityContext']).toMatchObject({ runAsUser: id, runAsGroup: id, fsGroup: id });
      expect(pod.containers[0]!.args).toEqual(image.RUN_CONFIG.Cmd);
      const mounts = pod.containers[0]!.volumeMounts.map(({ mountPath }) => mountPath);
      expect(mounts).toEqual([dirname(image.CONFIG), overlay === 'deployment' ? image.STORE : image.FILES]);
    }
  });
});

describe.each(OVERLAYS)('the component single-port with the %s', (overlay) => {
  it('gives port 69 to a Service that keeps the addresses of clients, and leaves the host’s network', () => {
    const resources = kustomized(site(overlay, ['single-port', 'monitoring']));
    expect(resources.flatMap((resource) => schemaFaults(resource))).toEqual([]);
    const { pod } = workloadOf(resources);
    const [container] = pod.containers;
    expect([pod['hostNetwork'], pod['dnsPolicy']]).toEqual([false, 'ClusterFirst']);
    const probes = ['startupProbe', 'livenessProbe', 'readinessProbe'];
    expect(probes.map((probe) => at(container, probe, 'httpGet', 'host'))).toEqual([undefined, undefined, undefined]);
    expect(container!.args).toEqual(expect.arrayContaining(['--single-port', '--admin=[::]:6970']));
    const service = only(resources, 'Service', 'reveille-tftp');
    expect(at(service, 'spec')).toMatchObject({
      externalTrafficPolicy: 'Local',
      selector: NAMES,
      ports: [{ port: 69, targetPort: container!.ports[0]!.name, protocol: 'UDP' }],
    });
  });
});

describe('the component monitoring', () => {
  const resources = (): Resource[] => kustomized(site('deployment', ['monitoring']));

  it('scrapes the job that the alerts watch', () => {
    const all = resources();
    const service = only(all, 'Service');
    const monitor = only(all, 'ServiceMonitor');
    expect(service.metadata.labels).toEqual(at(monitor, 'spec', 'selector', 'matchLabels'));
    const job = service.metadata.labels![textAt(monitor, 'spec', 'jobLabel')];
    expect(read('grafana/prometheus/reveille.alerts.yml')).toContain(`up{job="${job}"} == 0`);
    expect(at(service, 'spec', 'selector')).toEqual(NAMES);
    expect(at(service, 'spec', 'ports', 0, 'name')).toBe(at(monitor, 'spec', 'endpoints', 0, 'port'));
    const port = at(service, 'spec', 'ports', 0, 'port') as number;
    expect(workloadOf(all).pod.containers[0]!.args).toContain(`--admin=[::]:${port}`);
  });

  it('has every board, in a ConfigMap that kubectl can apply', () => {
    const map = only(resources(), 'ConfigMap', 'reveille-dashboards');
    const boards = readdirSync(join(ROOT, 'grafana/dashboards'));
    const data = Object.fromEntries(boards.map((name) => [name, read(`grafana/dashboards/${name}`)]));
    expect(map['data']).toEqual(data);
    expect(map.metadata.labels).toEqual({ grafana_dashboard: '1' });
    expect(Buffer.byteLength(JSON.stringify(map))).toBeLessThan(MAX_ANNOTATIONS);
  });

  it('has the rules and alerts of grafana/prometheus', () => {
    // `npm run grafana` updates the file.
    expect(read(PROMETHEUS_RULE)).toBe(prometheusRuleText());
    const groups = at(only(resources(), 'PrometheusRule'), 'spec', 'groups') as { name: string }[];
    expect(groups.map(({ name }) => name)).toEqual(['reveille-recording', 'reveille-alerts']);
  });
});

/**
 * Folders in the place of a pod's volumes. The config's is made as the kubelet makes it: its files are links through
 * `..data`, which `publish` switches to a new folder.
 */
function volumesOf(pod: Pod, onFinished?: OnTestFinished) {
  const places = new Map(pod.containers[0]!.volumeMounts.map(({ mountPath }) => [mountPath, folder(onFinished)]));
  const here = (text: string): string => {
    let moved = text;
    for (const [path, place] of places) moved = moved.replaceAll(path, place);
    return moved.replaceAll(/:(?:69|6970)\b/g, ':0');
  };
  const config = places.get('/etc/reveille')!;
  let version = 0;
  const publish = (text: string): void => {
    const [before, next] = [`..${version}`, `..${++version}`];
    mkdirSync(join(config, next));
    writeFileSync(join(config, next, 'reveille.yaml'), here(text));
    symlinkSync(next, join(config, '..data_tmp'));
    renameSync(join(config, '..data_tmp'), join(config, '..data'));
    rmSync(join(config, before), { recursive: true, force: true });
    if (version === 1) symlinkSync('..data/reveille.yaml', join(config, 'reveille.yaml'));
  };
  return { places, here, publish };
}

describe.each(OVERLAYS)('the server of the %s', (overlay) => {
  it('starts as its pod does, is ready, knows its token, and takes a changed ConfigMap without a restart', async () => {
    const resources = kustomized(site(overlay, ['api', 'monitoring']));
    const { pod } = workloadOf(resources);
    const text = textAt(only(resources, 'ConfigMap', 'reveille-config'), 'data', 'reveille.yaml');
    const { places, here, publish } = volumesOf(pod);
    publish(text);
    writeFileSync(join(places.get('/run/secrets/reveille')!, 'token'), TOKEN, { mode: 0o600 });

    const server = new Reveille(pod.containers[0]!.args.map(here));
    const [line] = await server.saying(/^.*"msg":"listening".*$/m);
    const { addresses, admin } = JSON.parse(line) as { addresses: string[]; admin: string };
    expect(addresses).toHaveLength(2);
    const address = `127.0.0.1:${admin.split(':').at(-1)!}`;
    for (const probe of ['startupProbe', 'livenessProbe', 'readinessProbe']) {
      const path = textAt(pod.containers[0], probe, 'httpGet', 'path');
      // oxlint-disable-next-line no-await-in-loop -- one after the other.
      expect([path, (await fetch(`http://${address}${path}`)).status]).toEqual([path, 200]);
    }
    const status = async (headers: Record<string, string>): Promise<number> =>
      (await fetch(`http://${address}/api/v1/reload`, { method: 'POST', headers })).status;
    expect([await status({}), await status({ authorization: `Bearer ${TOKEN}` })]).toEqual([401, 200]);

    publish(`${text}logLevel: debug\nworkers: 2\n`.replace('workers: 4\n', ''));
    await server.saying(/"settings":\["workers"\],"msg":"changed settings that need a restart"/);
    server.process.kill('SIGTERM');
    expect((await server.ended).code).toBe(0);
  });
});

describe('docs/kubernetes.md', () => {
  const [kustomization, job] = blocks('docs/kubernetes.md', 'yaml');

  it('has a kustomization of a site that works', () => {
    // The folder is the clone's neighbor in the document.
    const place = folder();
    const spec = parse(kustomization!.replaceAll('../reveille/', `${relative(place, ROOT)}/`)) as Record<string, Json>;
    writeFileSync(join(place, 'kustomization.yaml'), stringify(spec));
    const files = at(spec, 'configMapGenerator', 0, 'files') as string[];
    for (const name of files) writeFileSync(join(place, name), `# ${name}\n`);
    const resources = kustomized(place);
    expect(resources.flatMap((resource) => schemaFaults(resource))).toEqual([]);
    expect(Object.keys(only(resources, 'ConfigMap', 'reveille-config')['data'] as object)).toEqual(files);
    expect(workloadOf(resources).pod.containers[0]!.image).toBe('registry.example.com/reveille:0.1.0');
    expect(only(resources, 'ServiceMonitor').metadata.labels).toEqual({ release: 'prometheus' });
    // oxlint-disable-next-line vitest/no-conditional-expect -- kubectl is not everywhere.
    if (hasKubectl) expect(sortedByName(resources)).toEqual(sortedByName(fromKubectl(place)));
  });

  it('has a Job that publishes into the store of the server, on its node and as its user', () => {
    const resource = parse(job!) as Resource;
    resource.metadata.name = 'reveille-publish-1';
    expect(schemaFaults(resource)).toEqual([]);
    const server = workloadOf(kustomized(join(MANIFESTS, 'deployment'))).pod;
    const publisher = podOf(resource)!;
    for (const key of ['nodeSelector', 'tolerations', 'securityContext'])
      expect([key, publisher[key]]).toEqual([key, server[key]]);
    expect(publisher.containers[0]!['securityContext']).toEqual(server.containers[0]!['securityContext']);
    expect(sourcesOf(publisher).claims).toEqual(sourcesOf(server).claims);
    const { store } = readConfig(join(MANIFESTS, 'deployment/reveille.yaml')).values;
    expect(publisher.containers[0]!.args.slice(-2)).toEqual(['--store', store]);
    // LMDB tells processes apart by their ID. The command has 1, which a server below its keeper never has.
    expect(publisher['shareProcessNamespace']).toBeUndefined();
    expect(server.containers[0]!.args[0]).toBe('keeper');
  });
});

it('the check of schemas finds wrong values and unknown fields', () => {
  const resources = kustomized(join(MANIFESTS, 'deployment'));
  const { workload, pod } = workloadOf(resources);
  pod.containers[0]!['livenesProbe'] = {};
  expect(schemaFaults(workload)).toEqual([
    'Deployment reveille: /spec/template/spec/containers/0/livenesProbe is unknown',
  ]);
  (workload['spec'] as Record<string, Json>)['replicas'] = '1';
  expect(schemaFaults(workload)).toEqual(['Deployment reveille: data/spec/replicas must be integer']);
});
