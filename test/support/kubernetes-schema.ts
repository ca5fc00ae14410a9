/** Checks resources of Kubernetes and of the Prometheus operator against the schemas of their APIs. */
import { ServiceMonitor, PrometheusRule } from '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1';
import { DaemonSet, Deployment } from 'kubernetes-models/apps/v1';
import { Job } from 'kubernetes-models/batch/v1';
import { PodDisruptionBudget } from 'kubernetes-models/policy/v1';
import { PriorityClass } from 'kubernetes-models/scheduling.k8s.io/v1';
import { ConfigMap, Namespace, PersistentVolumeClaim, Service, ServiceAccount } from 'kubernetes-models/v1';
import type { Resource } from './kustomize.ts';

const MODELS = [
  ConfigMap,
  DaemonSet,
  Deployment,
  Job,
  Namespace,
  PersistentVolumeClaim,
  PodDisruptionBudget,
  PriorityClass,
  PrometheusRule,
  Service,
  ServiceAccount,
  ServiceMonitor,
];

/**
 * A view of a value that notes each field that is read. The schemas allow unknown fields, which an API server rejects;
 * a validator reads the fields that its schema names, and no others.
 */
function watched(value: object, path: string, unread: Set<string>): object {
  for (const key of Object.keys(value)) unread.add(`${path}/${key}`);
  return new Proxy(value, {
    get(target, key, receiver) {
      const inner: unknown = Reflect.get(target, key, receiver);
      if (typeof key === 'symbol') return inner;
      const here = `${path}/${key}`;
      unread.delete(here);
      return typeof inner === 'object' && inner !== null ? watched(inner, here, unread) : inner;
    },
  });
}

/** @returns what an API server would reject, one line each. */
export function schemaFaults(resource: Resource): string[] {
  const name = `${resource.kind} ${resource.metadata.name}`;
  const model = MODELS.find(({ apiVersion, kind }) => apiVersion === resource.apiVersion && kind === resource.kind);
  if (model === undefined) return [`${name}: expected a known kind, got ${resource.apiVersion}`];
  const unread = new Set<string>();
  try {
    model.prototype.validate.call(watched(resource, '', unread) as never);
  } catch (error) {
    return [`${name}: ${(error as Error).message}`];
  }
  return [...unread].map((path) => `${name}: ${path} is unknown`);
}
