/**
 * Checks that a config works: tries each route with a node that it is meant for. Opening the preview has already shown
 * that patterns, templates, handlers and the inventory can be loaded. Knows routes and nodes; writes nothing.
 */
import type { InventoryNode, RouteTrial } from '../render/index.ts';
import type { PreviewClient } from './preview-client.ts';
import { escapeText } from '../text/escape.ts';
import { counted } from '../text/figures.ts';
import type { Preview } from './preview.ts';
import type { Way } from './trace.ts';

/**
 * Maximum number of nodes tried for one route. A template is tried with all nodes that fit, because a value that one of
 * them lacks may break it.
 * @limit Nodes that `reveille validate` tries for one route. Shows: `untried` in its output.
 */
const MAX_TRIED = 200;
/** A made-up node: used where there is no inventory, and for an address or architecture that its nodes lack. */
const SOMEBODY = {
  mac: '52:54:00:12:34:56',
  uuid: '6ba7b810-9dad-41d1-80b4-00c04fd430c8',
  serial: '10000000',
  address: '192.0.2.1',
  arch: 'x86_64',
} as const;

export interface RouteReport {
  /** Number of the route, from 1. */
  readonly route: number;
  readonly match: string;
  readonly kind: RouteTrial['kind'];
  /** `untried`: no node fits, or the trial would send a request to another server. */
  readonly result: 'ok' | 'failed' | 'untried';
  /** The name that was requested, and the node that requested it. */
  readonly name?: string;
  readonly node?: string;
  /** The outcome in words. */
  readonly detail: string;
}

export interface Report {
  readonly valid: boolean;
  /** Number of nodes in the inventory; null: there is none. */
  readonly nodes: number | null;
  readonly routes: readonly RouteReport[];
}

type Example = Partial<Record<string, string>>;

function hexOf(address: string): string | undefined {
  const parts = address.split('.').map(Number);
  if (parts.length !== 4) return undefined;
  return parts
    .map((part) => part.toString(16).padStart(2, '0'))
    .join('')
    .toUpperCase();
}

/** @returns the captures for a node. @param node undefined for an unknown node. */
function capturesOf(node: InventoryNode | undefined): Example {
  const address = node === undefined ? SOMEBODY.address : node.address[0];
  const mac = node === undefined ? SOMEBODY.mac : node.mac[0];
  const hexip = address === undefined ? undefined : hexOf(address);
  return {
    mac: mac?.replaceAll(':', '-'),
    uuid: node === undefined ? SOMEBODY.uuid : node.uuid,
    serial: node === undefined ? SOMEBODY.serial : node.serial,
    ...(hexip === undefined ? {} : { ip: address, hexip }),
    arch: node?.arch ?? SOMEBODY.arch,
    name: node?.name ?? 'example',
    path: 'example',
  };
}

/** Makes a name that a pattern matches. @returns undefined when the node lacks a value that the pattern captures. */
function nameFor(match: string, captures: Example): string | undefined {
  let isWhole = true;
  const name = match.replace(/\{([a-z]+)\*?\}/g, (_, key: string) => {
    const value = captures[key];
    if (value === undefined) isWhole = false;
    return value ?? '';
  });
  return isWhole ? name : undefined;
}

function resultOf(trial: RouteTrial, { end }: Way): Pick<RouteReport, 'result' | 'detail'> {
  const { verdict, detail = '' } = trial;
  if (verdict === 'failed') return { result: 'failed', detail };
  if (verdict === 'rewritten') return { result: 'ok', detail: `looks for ${detail}` };
  if (end.kind === 'content') return { result: 'ok', detail: counted(end.bytes.length, 'byte') };
  return { result: 'ok', detail: end.reason };
}

async function tryRoute(
  preview: Preview,
  route: { readonly number: number; readonly match: string; readonly kind: RouteTrial['kind'] },
  candidates: Iterable<InventoryNode | undefined>,
): Promise<RouteReport> {
  const { number, match, kind } = route;
  const about = { route: number, match, kind };
  if (kind === 'upstream') return { ...about, result: 'untried', detail: 'not tried: it asks another server' };
  let tried = 0;
  let fitting = 0;
  let isStrangerFitting = false;
  let fits: RouteReport | undefined;
  let last = 'not tried: no node has the identity that the pattern captures';
  for (const node of candidates) {
    const name = nameFor(match, capturesOf(node));
    if (name === undefined) continue;
    if (++tried > MAX_TRIED) break;
    const client: PreviewClient = { ip: node?.address[0] ?? SOMEBODY.address };
    // oxlint-disable-next-line no-await-in-loop -- stops at the first node that fits, which is mostly the first.
    const way = await preview.request(name, client);
    const trial = way.routes?.routes.find((one) => one.route === number);
    const who = node === undefined ? {} : { node: node.name };
    if (trial !== undefined && ['taken', 'failed', 'rewritten'].includes(trial.verdict)) {
      const report = { ...about, name, ...who, ...resultOf(trial, way) };
      // A handler or another server may do more than answer, so it is called only once.
      if (kind !== 'template' || report.result === 'failed') return report;
      fits ??= report;
      if (node === undefined) isStrangerFitting = true;
      else fitting++;
      continue;
    }
    const taker = way.routes?.routes.at(-1);
    last =
      trial === undefined
        ? `${name} is already taken by route ${taker?.route ?? 0}`
        : `${name}: ${trial.verdict}${trial.detail === undefined ? '' : `, ${trial.detail}`}`;
  }
  if (fits === undefined) return { ...about, result: 'untried', detail: last };
  if (fitting === 0 || (fitting === 1 && !isStrangerFitting)) return fits;
  const stranger = isStrangerFitting ? ' and an unknown node' : '';
  return { ...fits, detail: `${fits.detail}; ${counted(fitting, 'node')}${stranger} tried` };
}

export async function validate(preview: Preview): Promise<Report> {
  const { routes } = preview;
  const inventory = routes?.inventory;
  const reports: RouteReport[] = [];
  for (const [index, { match, kind }] of (routes?.list() ?? []).entries()) {
    // The unknown node comes last: it is for routes that take nodes without an inventory entry.
    const candidates = [...(inventory?.nodes() ?? []), undefined];
    // oxlint-disable-next-line no-await-in-loop -- in order, on the few threads that a server has.
    reports.push(await tryRoute(preview, { number: index + 1, match, kind }, candidates));
  }
  return {
    valid: reports.every(({ result }) => result !== 'failed'),
    nodes: inventory?.size ?? null,
    routes: reports,
  };
}

export function reportToText(file: string, { valid, nodes, routes }: Report): string {
  const lines = [
    `config      ${file}: ${counted(routes.length, 'route')}, ${nodes === null ? 'no inventory' : counted(nodes, 'node')}`,
    ...routes.map(({ route, match, kind, result, name, node, detail }) => {
      const who = name === undefined ? '' : ` ${name}${node === undefined ? '' : ` for ${node}`}:`;
      return `route ${String(route).padEnd(5)} ${result.padEnd(8)} ${match} (${kind}):${who} ${detail}`;
    }),
    valid ? 'valid' : 'not valid',
  ];
  return lines.map((line) => `${escapeText(line, 4096)}\n`).join('');
}
